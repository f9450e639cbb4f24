// Runs signatures of a SavedModel without Python, through the loader that TensorFlow Serving uses.
//
//   run_signatures MODEL REQUESTS
//
// REQUESTS/CASE holds `signature`, a text file with its name, and each input as INPUT.in, a
// TensorProto. Beside them are written the outputs as OUTPUT.out; or `error`, the status of a run
// that failed.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow/core/public/session.h"

namespace fs = std::filesystem;
namespace tf = tensorflow;

static std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

static void Write(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

static void Run(const tf::SavedModelBundle& model, const fs::path& request) {
  const auto& signature = model.meta_graph_def.signature_def().at(Read(request / "signature"));
  std::vector<std::pair<std::string, tf::Tensor>> inputs;
  for (const auto& [key, info] : signature.inputs()) {
    tf::TensorProto content;
    tf::Tensor tensor;
    if (!content.ParseFromString(Read(request / (key + ".in"))) || !tensor.FromProto(content)) {
      Write(request / "error", "no input " + key);
      return;
    }
    inputs.emplace_back(info.name(), tensor);
  }
  std::vector<std::string> keys, names;
  for (const auto& [key, info] : signature.outputs()) {
    keys.push_back(key);
    names.push_back(info.name());
  }
  std::vector<tf::Tensor> outputs;
  const auto status = model.session->Run(inputs, names, {}, &outputs);
  if (!status.ok()) {
    Write(request / "error", status.ToString());
    return;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    tf::TensorProto content;
    outputs[i].AsProtoTensorContent(&content);
    Write(request / (keys[i] + ".out"), content.SerializeAsString());
  }
}

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "run_signatures MODEL REQUESTS\n";
    return 2;
  }
  tf::SavedModelBundle model;
  const auto status =
      tf::LoadSavedModel(tf::SessionOptions(), tf::RunOptions(), argv[1],
                         {"serve"}, &model);
  if (!status.ok()) {
    std::cerr << status.ToString() << "\n";
    return 1;
  }
  for (const auto& request : fs::directory_iterator(argv[2])) Run(model, request.path());
  return 0;
}
