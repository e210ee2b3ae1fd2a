#include "vmaf/model.hpp"

#include <atomic>
#include <utility>

#include "vmaf/error.hpp"

namespace pyvmaf {

namespace {

std::string name_or_unique(const std::string& name) {
  static std::atomic<unsigned long> count{0};
  return name.empty() ? "vmaf#" + std::to_string(++count) : name;
}

}  // namespace

// Callers keep the GIL while a model loads: libvmaf's SVM parser calls setlocale, and no other
// thread may do that at the same time.
Model::Model(std::string source, bool is_path, const std::string& name)
    : source_(std::move(source)), name_(name_or_unique(name)) {
  VmafModelConfig config{};
  config.name = name_.c_str();
  VmafModel* raw = nullptr;
  const int status = is_path ? vmaf_model_load_from_path(&raw, &config, source_.c_str())
                             : vmaf_model_load(&raw, &config, source_.c_str());
  check(status, "loading the model '" + source_ + "'");
  handle_.reset(raw);
}

ModelCollection::ModelCollection(std::string source, bool is_path, const std::string& name)
    : source_(std::move(source)), name_(name_or_unique(name)) {
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
