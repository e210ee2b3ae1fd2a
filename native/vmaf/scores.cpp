#include "vmaf/scores.hpp"

#include <algorithm>
#include <limits>

#include "vmaf/error.hpp"
#include "vmaf/settings.hpp"

namespace pyvmaf {

namespace {

// Calls `score(context, index within the chunk, row)` for every row, with the features imported.
template <typename Score>
void in_chunks(const std::vector<std::string>& keys, const double* values, std::size_t rows,
               std::size_t chunk, Score score) {
  for (std::size_t start = 0; start < rows; start += chunk) {
    const std::size_t count = std::min(chunk, rows - start);
    const ContextHandle context = open_context(0, 0);
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

CollectionScores::CollectionScores(std::size_t count) {
  for (auto* column : {&bagging, &stddev, &low, &high}) {
    column->assign(count, std::numeric_limits<double>::quiet_NaN());
  }
}

void score_collection(VmafContext* context, const ModelCollection& collection, unsigned index,
                      std::size_t row, CollectionScores& scores) {
  // libvmaf refuses to compute the score of a collection twice: read the first result if it exists.
  const auto stored = [&](const char* suffix, double& value) {
    return vmaf_feature_score_at_index(context, (collection.name() + suffix).c_str(), &value,
                                       index);
  };
  if (stored("_bagging", scores.bagging[row]) == 0) {
    check(stored("_stddev", scores.stddev[row]), "reading a collection's deviation");
    check(stored("_ci_p95_lo", scores.low[row]), "reading a collection's lower bound");
    check(stored("_ci_p95_hi", scores.high[row]), "reading a collection's upper bound");
    return;
  }
  VmafModelCollectionScore score{};
  check(vmaf_score_at_index_model_collection(context, collection.get(), &score, index),
        "scoring frame " + std::to_string(index) + " with '" + collection.source() + "'");
  scores.bagging[row] = score.bootstrap.bagging_score;
  scores.stddev[row] = score.bootstrap.stddev;
  scores.low[row] = score.bootstrap.ci.p95.lo;
  scores.high[row] = score.bootstrap.ci.p95.hi;
}

void predict(const Model& model, const std::vector<std::string>& keys, const double* values,
             std::size_t rows, std::size_t chunk, double* scores) {
  in_chunks(keys, values, rows, chunk, [&](VmafContext* context, unsigned index, std::size_t row) {
    check(vmaf_score_at_index(context, model.get(), &scores[row], index),
          "predicting frame " + std::to_string(row) + " with '" + model.source() + "'");
  });
}

CollectionScores predict_collection(const ModelCollection& collection,
                                    const std::vector<std::string>& keys, const double* values,
                                    std::size_t rows, std::size_t chunk) {
  CollectionScores scores(rows);
  in_chunks(keys, values, rows, chunk, [&](VmafContext* context, unsigned index, std::size_t row) {
    score_collection(context, collection, index, row, scores);
  });
  return scores;
}

}  // namespace pyvmaf
