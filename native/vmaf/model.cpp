#include "vmaf/model.hpp"

#include <atomic>
#include <utility>

#include "vmaf/error.hpp"

namespace pyvmaf {

namespace {

ModelOptions named(ModelOptions options) {
  static std::atomic<unsigned long> count{0};
  if (options.name.empty()) {
    options.name = "vmaf#" + std::to_string(++count);
  }
  return options;
}

VmafModelConfig config_of(const ModelOptions& options) {
  VmafModelConfig config{};
  config.name = options.name.c_str();
  config.flags = VMAF_MODEL_FLAGS_DEFAULT;
  if (options.enable_transform) {
    config.flags |= VMAF_MODEL_FLAG_ENABLE_TRANSFORM;
  }
  if (options.disable_clip) {
    config.flags |= VMAF_MODEL_FLAG_DISABLE_CLIP;
  }
  return config;
}

}  // namespace

// Callers keep the GIL while a model loads: libvmaf's SVM parser calls setlocale, and no other
// thread may do that at the same time.
Model::Model(ModelOptions options) : options_(named(std::move(options))) {
  VmafModelConfig config = config_of(options_);
  VmafModel* raw = nullptr;
  const int status = options_.path.empty()
                         ? vmaf_model_load(&raw, &config, source().c_str())
                         : vmaf_model_load_from_path(&raw, &config, options_.path.c_str());
  // A model that libvmaf gave up half-way leaks a few kilobytes: destroying it could free what was
  // never set.
  check(status, "loading the model '" + source() + "'");
  handle_.reset(raw);
}

ModelCollection::ModelCollection(ModelOptions options) : options_(named(std::move(options))) {
  VmafModelConfig config = config_of(options_);
  VmafModel* lead = nullptr;
  VmafModelCollection* raw = nullptr;
  const int status =
      options_.path.empty()
          ? vmaf_model_collection_load(&lead, &raw, &config, source().c_str())
          : vmaf_model_collection_load_from_path(&lead, &raw, &config, options_.path.c_str());
  check(status, "loading the model collection '" + source() + "'");
  lead_.reset(lead);
  handle_.reset(raw);
}

}  // namespace pyvmaf
