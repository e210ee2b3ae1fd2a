#pragma once

#include <libvmaf/libvmaf.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "frames.hpp"
#include "model.hpp"

namespace pyvmaf {

// Log level and CPU mask are global inside libvmaf: the last context that was opened decides for all.
// They are therefore settings of the module, handed unchanged to every context.
void set_log_level(VmafLogLevel level);
void set_cpu_mask(std::uint64_t mask);
std::uint64_t cpu_mask();

struct CollectionScores {
  std::vector<double> bagging, stddev, low, high;
};

// Owns a VmafContext. Calls may block and take no Python objects, so callers release the GIL around
// all of them. One thread at a time; the guard in every call turns a second one, or a forked child,
// into an error.
class Context {
 public:
  Context(unsigned width, unsigned height, VmafPixelFormat format, unsigned bpc,
          unsigned n_threads, unsigned n_subsample);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void use_feature(const std::string& extractor, const std::map<std::string, std::string>& options);
  void use_model(std::shared_ptr<Model> model);
  void use_model_collection(std::shared_ptr<ModelCollection> collection);

  // An empty `distorted` leaves the distorted picture as it is: for extractors that do not look.
  void read(const Planes& reference, const Planes& distorted, unsigned index);
  void flush();

  // `present` tells a missing score from one that is not a number.
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
  bool pool_ = false;
  VmafContext* handle_ = nullptr;
  std::mutex busy_;
  // libvmaf keeps pointers to the models that a context uses.
  std::vector<std::shared_ptr<Model>> models_;
  std::vector<std::shared_ptr<ModelCollection>> collections_;
};

// Scores of a model from features measured elsewhere: row i of `values` (columns in the order of
// `keys`) gives score i. The work is cut into contexts of `chunk` frames so that memory stays flat.
void predict(const Model& model, const std::vector<std::string>& keys, const double* values,
             std::size_t rows, std::size_t chunk, double* scores);
CollectionScores predict_collection(const ModelCollection& collection,
                                    const std::vector<std::string>& keys, const double* values,
                                    std::size_t rows, std::size_t chunk);

}  // namespace pyvmaf
