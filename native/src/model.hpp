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

// libvmaf files predictions under a model's name, so that two models of one name would share the
// first one's scores. Every model gets a name of its own unless the caller gives one.
std::string unique_name(const std::string& stem);

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
