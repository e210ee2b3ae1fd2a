#pragma once

#include <libvmaf/libvmaf.h>

#include <cstddef>
#include <string>
#include <vector>

#include "vmaf/model.hpp"

namespace pyvmaf {

// Scores of a bootstrap collection, one value per frame in each column.
struct CollectionScores {
  explicit CollectionScores(std::size_t count);
  std::vector<double> bagging, stddev, low, high;
};

// Writes the scores of frame `index` into row `row` of `scores`.
void score_collection(VmafContext* context, const ModelCollection& collection, unsigned index,
                      std::size_t row, CollectionScores& scores);

// Scores of a model from features measured elsewhere: row i of `values` (columns in the order of
// `keys`) gives score i. The rows pass through contexts of `chunk` frames each, so that memory
// stays flat.
void predict(const Model& model, const std::vector<std::string>& keys, const double* values,
             std::size_t rows, std::size_t chunk, double* scores);
CollectionScores predict_collection(const ModelCollection& collection,
                                    const std::vector<std::string>& keys, const double* values,
                                    std::size_t rows, std::size_t chunk);

}  // namespace pyvmaf
