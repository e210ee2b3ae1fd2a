#include "context.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <limits>

#include "error.hpp"

namespace pyvmaf {

namespace {

std::atomic<int> log_level_setting{VMAF_LOG_LEVEL_NONE};
std::atomic<std::uint64_t> cpu_mask_setting{0};

VmafContext* open_context(unsigned n_threads, unsigned n_subsample) {
  VmafConfiguration config{};
  config.log_level = static_cast<VmafLogLevel>(log_level_setting.load());
  config.n_threads = n_threads;
  config.n_subsample = n_subsample;
  config.cpumask = cpu_mask_setting.load();
  VmafContext* handle = nullptr;
  check(vmaf_init(&handle, config), "opening a libvmaf context");
  return handle;
}

// The settings take effect inside libvmaf when a context opens.
void apply_settings() { vmaf_close(open_context(0, 0)); }

// A picture that is given back unless libvmaf took it.
class Picture {
 public:
  explicit Picture(VmafContext* context) {
    check(vmaf_fetch_preallocated_picture(context, &picture_), "fetching a picture");
  }
  ~Picture() {
    // On success libvmaf empties the struct; what is still here is still ours.
    if (picture_.ref != nullptr) {
      vmaf_picture_unref(&picture_);
    }
  }
  Picture(const Picture&) = delete;
  Picture& operator=(const Picture&) = delete;
  VmafPicture& get() noexcept { return picture_; }

 private:
  VmafPicture picture_{};
};

struct ContextDeleter {
  void operator()(VmafContext* context) const noexcept { vmaf_close(context); }
};
using OwnedContext = std::unique_ptr<VmafContext, ContextDeleter>;

void collection_score(VmafContext* context, const ModelCollection& collection, unsigned index,
                      std::size_t slot, CollectionScores& out) {
  // libvmaf refuses to compute a collection's score twice: look for the first result before asking.
  const std::string& name = collection.name();
  if (vmaf_feature_score_at_index(context, (name + "_bagging").c_str(), &out.bagging[slot],
                                  index) == 0) {
    check(vmaf_feature_score_at_index(context, (name + "_stddev").c_str(), &out.stddev[slot], index),
          "reading a collection's deviation");
    check(vmaf_feature_score_at_index(context, (name + "_ci_p95_lo").c_str(), &out.low[slot], index),
          "reading a collection's lower bound");
    check(vmaf_feature_score_at_index(context, (name + "_ci_p95_hi").c_str(), &out.high[slot],
                                      index),
          "reading a collection's upper bound");
    return;
  }
  VmafModelCollectionScore score{};
  check(vmaf_score_at_index_model_collection(context, collection.get(), &score, index),
        "scoring frame " + std::to_string(index) + " with '" + collection.source() + "'");
  out.bagging[slot] = score.bootstrap.bagging_score;
  out.stddev[slot] = score.bootstrap.stddev;
  out.low[slot] = score.bootstrap.ci.p95.lo;
  out.high[slot] = score.bootstrap.ci.p95.hi;
}

CollectionScores make_scores(std::size_t count) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CollectionScores scores;
  for (auto* column : {&scores.bagging, &scores.stddev, &scores.low, &scores.high}) {
    column->assign(count, nan);
  }
  return scores;
}

// Runs `score(context, index within the chunk, row)` for every row, with the features imported.
template <typename Score>
void in_chunks(const std::vector<std::string>& keys, const double* values, std::size_t rows,
               std::size_t chunk, Score score) {
  for (std::size_t start = 0; start < rows; start += chunk) {
    const std::size_t count = std::min(chunk, rows - start);
    const OwnedContext context(open_context(0, 0));
    for (std::size_t i = 0; i < count; ++i) {
      const double* row = values + (start + i) * keys.size();
      for (std::size_t column = 0; column < keys.size(); ++column) {
        check(vmaf_import_feature_score(context.get(), keys[column].c_str(), row[column],
                                        static_cast<unsigned>(i)),
              "importing '" + keys[column] + "' of frame " + std::to_string(start + i));
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      score(context.get(), static_cast<unsigned>(i), start + i);
    }
  }
}

}  // namespace

void set_log_level(VmafLogLevel level) {
  log_level_setting = level;
  apply_settings();
}

void set_cpu_mask(std::uint64_t mask) {
  cpu_mask_setting = mask;
  apply_settings();
}

std::uint64_t cpu_mask() { return cpu_mask_setting.load(); }

class Context::Use {
 public:
  explicit Use(Context& context) : lock_(context.busy_, std::defer_lock) {
    // libvmaf's worker threads do not exist in a forked child: any call could wait for ever. The
    // mutex may have been copied in its locked state, so the process is looked at first.
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
                 unsigned n_threads, unsigned n_subsample)
    : width_(width),
      height_(height),
      format_(format),
      bpc_(bpc),
      n_threads_(n_threads),
      owner_(getpid()),
      handle_(open_context(n_threads, n_subsample)) {}

Context::~Context() {
  // In a forked child closing would wait for threads that are not there: the memory is the child's
  // copy and goes with it.
  if (handle_ != nullptr && getpid() == owner_) {
    vmaf_close(handle_);
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
  // libvmaf owns the dictionary now, unless it does not know the extractor: then a few bytes are
  // lost, which is better than freeing twice in the other case.
  check(vmaf_use_feature(handle_, extractor.c_str(), dictionary),
        "registering the extractor '" + extractor + "'");
}

void Context::use_model(std::shared_ptr<Model> model) {
  const Use use(*this);
  check(vmaf_use_features_from_model(handle_, model->get()),
        "registering the model '" + model->source() + "'");
  models_.push_back(std::move(model));
}

void Context::use_model_collection(std::shared_ptr<ModelCollection> collection) {
  const Use use(*this);
  check(vmaf_use_features_from_model_collection(handle_, collection->get()),
        "registering the model collection '" + collection->source() + "'");
  collections_.push_back(std::move(collection));
}

void Context::preallocate() {
  if (pool_) {
    return;
  }
  VmafPictureConfiguration config{};
  config.pic_params.w = width_;
  config.pic_params.h = height_;
  config.pic_params.bpc = bpc_;
  config.pic_params.pix_fmt = format_;
  // Two pictures stay pinned as the previous references and two are being filled: with fewer than
  // four the third frame waits for ever. Each worker holds two more, and two wait in the queue.
  config.pic_cnt = n_threads_ == 0 ? 4 : 2 * n_threads_ + 4;
  check(vmaf_preallocate_pictures(handle_, config), "allocating pictures");
  pool_ = true;
}

void Context::read(const Planes& reference, const Planes& distorted, unsigned index) {
  const Use use(*this);
  preallocate();
  Picture ref(handle_);
  Picture dis(handle_);
  copy_frame(reference, ref.get(), "reference");
  if (!distorted.empty()) {
    copy_frame(distorted, dis.get(), "distorted");
  }
  check(vmaf_read_pictures(handle_, &ref.get(), &dis.get(), index),
        "reading frame " + std::to_string(index));
}

void Context::flush() {
  const Use use(*this);
  check(vmaf_read_pictures(handle_, nullptr, nullptr, 0), "flushing");
}

void Context::feature_scores(const std::string& key, const std::vector<unsigned>& indices,
                             double* scores, bool* present) {
  const Use use(*this);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    double value = 0.0;
    present[i] = vmaf_feature_score_at_index(handle_, key.c_str(), &value, indices[i]) == 0;
    scores[i] = present[i] ? value : std::numeric_limits<double>::quiet_NaN();
  }
}

void Context::import_feature_scores(const std::string& key, const std::vector<unsigned>& indices,
                                    const double* values) {
  const Use use(*this);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    check(vmaf_import_feature_score(handle_, key.c_str(), values[i], indices[i]),
          "importing '" + key + "' of frame " + std::to_string(indices[i]));
  }
}

void Context::scores(const Model& model, const std::vector<unsigned>& indices, double* scores) {
  const Use use(*this);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    check(vmaf_score_at_index(handle_, model.get(), &scores[i], indices[i]),
          "scoring frame " + std::to_string(indices[i]) + " with '" + model.source() + "'");
  }
}

CollectionScores Context::collection_scores(const ModelCollection& collection,
                                            const std::vector<unsigned>& indices) {
  const Use use(*this);
  CollectionScores out = make_scores(indices.size());
  for (std::size_t i = 0; i < indices.size(); ++i) {
    collection_score(handle_, collection, indices[i], i, out);
  }
  return out;
}

void Context::close() {
  if (handle_ == nullptr && getpid() == owner_) {
    return;
  }
  const Use use(*this);
  const int status = vmaf_close(std::exchange(handle_, nullptr));
  models_.clear();
  collections_.clear();
  check(status, "closing the context");
}

void predict(const Model& model, const std::vector<std::string>& keys, const double* values,
             std::size_t rows, std::size_t chunk, double* scores) {
  in_chunks(keys, values, rows, chunk,
            [&](VmafContext* context, unsigned index, std::size_t row) {
              check(vmaf_score_at_index(context, model.get(), &scores[row], index),
                    "predicting frame " + std::to_string(row) + " with '" + model.source() + "'");
            });
}

CollectionScores predict_collection(const ModelCollection& collection,
                                    const std::vector<std::string>& keys, const double* values,
                                    std::size_t rows, std::size_t chunk) {
  CollectionScores out = make_scores(rows);
  in_chunks(keys, values, rows, chunk,
            [&](VmafContext* context, unsigned index, std::size_t row) {
              collection_score(context, collection, index, row, out);
            });
  return out;
}

}  // namespace pyvmaf
