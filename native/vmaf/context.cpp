#include "vmaf/context.hpp"

#include <unistd.h>

#include <cerrno>
#include <limits>
#include <stdexcept>
#include <utility>

#include "cuda/cuda.hpp"
#include "vmaf/error.hpp"

namespace pyvmaf {

namespace {

// A picture of the context's pool, given back unless libvmaf took it.
class Picture {
 public:
  explicit Picture(VmafContext* context) {
    check(vmaf_fetch_preallocated_picture(context, &picture_), "fetching a picture");
  }
  ~Picture() {
    // Otherwise libvmaf has taken the picture.
    if (picture_.ref != nullptr) {
      vmaf_picture_unref(&picture_);
    }
  }
  Picture(const Picture&) = delete;
  Picture& operator=(const Picture&) = delete;
  VmafPicture& get() noexcept { return picture_; }
  // A build of libvmaf without CUDA empties the struct of a picture that it takes, one with CUDA
  // works on a copy of it.
  void taken() noexcept { picture_.ref = nullptr; }

 private:
  VmafPicture picture_{};
};

}  // namespace

// Guards a call: throws if the context is busy, closed, or from before a fork.
class Context::Use {
 public:
  explicit Use(Context& context) : lock_(context.busy_, std::defer_lock) {
    // libvmaf's worker threads do not exist in a forked child: any call could wait forever. The
    // mutex may have been copied in its locked state, so the process is checked first.
    if (getpid() != context.owner_) {
      throw VmafError("the context was opened in process " + std::to_string(context.owner_) +
                          " and is used in process " + std::to_string(getpid()) +
                          ": contexts do not survive a fork",
                      -EPERM);
    }
    if (!lock_.try_lock()) {
      throw VmafError("the context is busy in another thread", -EBUSY);
    }
    if (context.handle_ == nullptr) {
      throw VmafError("the context is closed", -EBADF);
    }
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

Context::Context(unsigned width, unsigned height, VmafPixelFormat format, unsigned bpc,
                 unsigned n_threads, unsigned n_subsample, const std::string& cuda_device)
    : width_(width),
      height_(height),
      format_(format),
      bpc_(bpc),
      n_threads_(n_threads),
      owner_(getpid()),
      handle_(open_context(n_threads, n_subsample)) {
  if (cuda_device.empty()) {
    return;
  }
  if (n_threads != 0) {
    throw std::invalid_argument("a context on a CUDA device must have no worker threads: libvmaf " +
                                std::string("flushes motion twice with them"));
  }
  cuda_ = cuda::attach(handle_.get(), cuda_device);
}

Context::~Context() {
  if (getpid() == owner_) {
    // Before the members go: libvmaf still holds pointers to the models.
    handle_.reset();
  } else {
    // In a forked child closing would wait for threads that do not exist: the memory is the child's
    // copy and ends with it.
    static_cast<void>(handle_.release());
    static_cast<void>(new std::shared_ptr<const void>(std::move(cuda_)));
  }
}

void Context::use_feature(const std::string& extractor,
                          const std::map<std::string, std::string>& options) {
  const Use use(*this);
  VmafFeatureDictionary* dictionary = nullptr;
  for (const auto& [key, value] : options) {
    const int status = vmaf_feature_dictionary_set(&dictionary, key.c_str(), value.c_str());
    if (status != 0) {
      vmaf_feature_dictionary_free(&dictionary);
      check(status, "setting option '" + key + "' of '" + extractor + "'");
    }
  }
  // libvmaf now owns the dictionary, unless it does not know the extractor: then a few bytes leak,
  // which is better than freeing them twice in the other case.
  check(vmaf_use_feature(handle_.get(), extractor.c_str(), dictionary),
        "registering the extractor '" + extractor + "'");
}

void Context::use_model(std::shared_ptr<Model> model) {
  const Use use(*this);
  check(vmaf_use_features_from_model(handle_.get(), model->get()),
        "registering the model '" + model->source() + "'");
  models_.push_back(std::move(model));
}

void Context::use_model_collection(std::shared_ptr<ModelCollection> collection) {
  const Use use(*this);
  check(vmaf_use_features_from_model_collection(handle_.get(), collection->get()),
        "registering the model collection '" + collection->source() + "'");
  collections_.push_back(std::move(collection));
}

void Context::preallocate() {
  if (preallocated_) {
    return;
  }
  VmafPictureConfiguration config{};
  config.pic_params.w = width_;
  config.pic_params.h = height_;
  config.pic_params.bpc = bpc_;
  config.pic_params.pix_fmt = format_;
  // Two pictures stay pinned as the previous references and two are being filled: with fewer than
  // four the third frame waits forever. Each worker holds two more, and two wait in the queue.
  config.pic_cnt = n_threads_ == 0 ? 4 : 2 * n_threads_ + 4;
  check(vmaf_preallocate_pictures(handle_.get(), config), "allocating pictures");
  preallocated_ = true;
}

void Context::read(const Planes& reference, const Planes& distorted, unsigned index) {
  const Use use(*this);
  preallocate();
  Picture ref(handle_.get());
  Picture dis(handle_.get());
  copy_frame(reference, ref.get(), "reference");
  if (!distorted.empty()) {
    copy_frame(distorted, dis.get(), "distorted");
  }
  check(vmaf_read_pictures(handle_.get(), &ref.get(), &dis.get(), index),
        "reading frame " + std::to_string(index));
  ref.taken();
  dis.taken();
}

void Context::flush() {
  const Use use(*this);
  check(vmaf_read_pictures(handle_.get(), nullptr, nullptr, 0), "flushing");
}

void Context::feature_scores(const std::string& key, const std::vector<unsigned>& indices,
                             double* scores, bool* present) {
  const Use use(*this);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    double value = 0.0;
    present[i] = vmaf_feature_score_at_index(handle_.get(), key.c_str(), &value, indices[i]) == 0;
    scores[i] = present[i] ? value : std::numeric_limits<double>::quiet_NaN();
  }
}

void Context::import_feature_scores(const std::string& key, const std::vector<unsigned>& indices,
                                    const double* values) {
  const Use use(*this);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    check(vmaf_import_feature_score(handle_.get(), key.c_str(), values[i], indices[i]),
          "importing '" + key + "' of frame " + std::to_string(indices[i]));
  }
}

void Context::scores(const Model& model, const std::vector<unsigned>& indices, double* scores) {
  const Use use(*this);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    check(vmaf_score_at_index(handle_.get(), model.get(), &scores[i], indices[i]),
          "scoring frame " + std::to_string(indices[i]) + " with '" + model.source() + "'");
  }
}

CollectionScores Context::collection_scores(const ModelCollection& collection,
                                            const std::vector<unsigned>& indices) {
  const Use use(*this);
  CollectionScores scores(indices.size());
  for (std::size_t i = 0; i < indices.size(); ++i) {
    score_collection(handle_.get(), collection, indices[i], i, scores);
  }
  return scores;
}

void Context::close() {
  if (handle_ == nullptr && getpid() == owner_) {
    return;
  }
  const Use use(*this);
  const int status = vmaf_close(handle_.release());
  cuda_.reset();
  models_.clear();
  collections_.clear();
  check(status, "closing the context");
}

}  // namespace pyvmaf
