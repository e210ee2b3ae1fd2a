#pragma once

#include <libvmaf/libvmaf.h>

#include <memory>
#include <string>

namespace pyvmaf {

struct ModelDeleter {
  void operator()(VmafModel* model) const noexcept { vmaf_model_destroy(model); }
};
struct CollectionDeleter {
  void operator()(VmafModelCollection* collection) const noexcept {
    vmaf_model_collection_destroy(collection);
  }
};

// A model of libvmaf: built in, or read from a JSON file if `is_path`. libvmaf stores predictions
// under the name of the model, and two models of one name would share the scores of the first:
// every model without a name gets a unique one.
class Model {
 public:
  Model(std::string source, bool is_path, const std::string& name);
  [[nodiscard]] VmafModel* get() const noexcept { return handle_.get(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::string& source() const noexcept { return source_; }

 private:
  std::string source_;
  std::string name_;
  std::unique_ptr<VmafModel, ModelDeleter> handle_;
};

// A bootstrap collection of models, loaded and named as a Model is.
class ModelCollection {
 public:
  ModelCollection(std::string source, bool is_path, const std::string& name);
  [[nodiscard]] VmafModelCollection* get() const noexcept { return handle_.get(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::string& source() const noexcept { return source_; }

 private:
  std::string source_;
  std::string name_;
  std::unique_ptr<VmafModel, ModelDeleter> lead_;
  std::unique_ptr<VmafModelCollection, CollectionDeleter> handle_;
};

}  // namespace pyvmaf
