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

// Origin, name and flags of a model. `source` names it in messages; the built-in version of this
// name is loaded unless `path` is the path of a JSON file. libvmaf stores predictions under the
// name of the model, and two models of one name would share the scores of the first: every model
// without a name gets a unique one.
struct ModelOptions {
  std::string source;
  std::string path;
  std::string name;
  bool enable_transform = false;
  bool disable_clip = false;
};

// A model of libvmaf: built in, or read from a JSON file.
class Model {
 public:
  explicit Model(ModelOptions options);
  [[nodiscard]] VmafModel* get() const noexcept { return handle_.get(); }
  [[nodiscard]] const std::string& name() const noexcept { return options_.name; }
  [[nodiscard]] const std::string& source() const noexcept { return options_.source; }

 private:
  ModelOptions options_;
  std::unique_ptr<VmafModel, ModelDeleter> handle_;
};

// A bootstrap collection of models, loaded and named as a Model is.
class ModelCollection {
 public:
  explicit ModelCollection(ModelOptions options);
  [[nodiscard]] VmafModelCollection* get() const noexcept { return handle_.get(); }
  [[nodiscard]] const std::string& name() const noexcept { return options_.name; }
  [[nodiscard]] const std::string& source() const noexcept { return options_.source; }

 private:
  ModelOptions options_;
  std::unique_ptr<VmafModel, ModelDeleter> lead_;
  std::unique_ptr<VmafModelCollection, CollectionDeleter> handle_;
};

}  // namespace pyvmaf
