#pragma once

#include <libvmaf/libvmaf.h>
#include <sys/types.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vmaf/frames.hpp"
#include "vmaf/model.hpp"
#include "vmaf/scores.hpp"
#include "vmaf/settings.hpp"

namespace pyvmaf {

// Owns a context of libvmaf. Its calls may block and touch no Python objects, so callers release
// the GIL around all of them. One thread at a time: every call is guarded, and a call from a second
// thread or a forked child throws.
class Context {
 public:
  // `cuda_device` is an index or UUID, or empty for none.
  Context(unsigned width, unsigned height, VmafPixelFormat format, unsigned bpc, unsigned n_threads,
          unsigned n_subsample, const std::string& cuda_device);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void use_feature(const std::string& extractor, const std::map<std::string, std::string>& options);
  void use_model(std::shared_ptr<Model> model);
  void use_model_collection(std::shared_ptr<ModelCollection> collection);

  // If `distorted` is empty, the distorted picture keeps its old samples: for extractors that read
  // the reference only.
  void read(const Planes& reference, const Planes& distorted, unsigned index);
  void flush();

  // `present` distinguishes a missing score from a score that is NaN.
  void feature_scores(const std::string& key, const std::vector<unsigned>& indices, double* scores,
                      bool* present);
  void import_feature_scores(const std::string& key, const std::vector<unsigned>& indices,
                             const double* values);
  void scores(const Model& model, const std::vector<unsigned>& indices, double* scores);
  CollectionScores collection_scores(const ModelCollection& collection,
                                     const std::vector<unsigned>& indices);
  void close();
  [[nodiscard]] bool closed() const noexcept { return handle_ == nullptr; }

 private:
  class Use;

  void preallocate();

  unsigned width_;
  unsigned height_;
  VmafPixelFormat format_;
  unsigned bpc_;
  unsigned n_threads_;
  pid_t owner_;
  bool preallocated_ = false;
  // Holds the CUDA device, if there is one, for longer than the context.
  std::shared_ptr<const void> cuda_;
  ContextHandle handle_;
  std::mutex busy_;
  // libvmaf keeps pointers to the models that a context uses.
  std::vector<std::shared_ptr<Model>> models_;
  std::vector<std::shared_ptr<ModelCollection>> collections_;
};

}  // namespace pyvmaf
