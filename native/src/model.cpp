#include "model.hpp"

#include <atomic>

#include "error.hpp"

namespace pyvmaf {

std::string unique_name(const std::string& stem) {
  static std::atomic<unsigned long> count{0};
  return stem + "#" + std::to_string(++count);
}

// Loading keeps the GIL: libvmaf's SVM parser calls setlocale, which no other thread may do at the
// same time.
Model::Model(std::string source, bool is_path, const std::string& name)
    : source_(std::move(source)), name_(name.empty() ? unique_name("vmaf") : name) {
  VmafModelConfig config{};
  config.name = name_.c_str();
  VmafModel* raw = nullptr;
  const int status = is_path ? vmaf_model_load_from_path(&raw, &config, source_.c_str())
                             : vmaf_model_load(&raw, &config, source_.c_str());
  check(status, "loading the model '" + source_ + "'");
  handle_.reset(raw);
}

ModelCollection::ModelCollection(std::string source, bool is_path, const std::string& name)
    : source_(std::move(source)), name_(name.empty() ? unique_name("vmaf") : name) {
  VmafModelConfig config{};
  config.name = name_.c_str();
  VmafModel* lead = nullptr;
  VmafModelCollection* raw = nullptr;
  const int status =
      is_path ? vmaf_model_collection_load_from_path(&lead, &raw, &config, source_.c_str())
              : vmaf_model_collection_load(&lead, &raw, &config, source_.c_str());
  check(status, "loading the model collection '" + source_ + "'");
  lead_.reset(lead);
  handle_.reset(raw);
}

}  // namespace pyvmaf
