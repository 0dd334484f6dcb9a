// What test_regression.cc uses of ONNX Runtime's test headers, with their signatures and no behaviour: for a compiler.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#define TEST(suite, name) void suite##_##name()

namespace onnxruntime {
struct MLFloat16 {
  explicit MLFloat16(float) {}
};
struct NodeArg {};
struct Node {
  void AddAttribute(std::string, int64_t) {}
  void AddAttribute(std::string, float) {}
  void AddAttribute(std::string, std::string) {}
  void AddAttribute(std::string, std::vector<int64_t>) {}
  void AddAttribute(std::string, std::vector<float>) {}
  void AddAttribute(std::string, std::vector<std::string>) {}
};
enum class TransformerLevel { Default, Level1, Level2, Level3, MaxLevel };
namespace test {
struct InferenceSessionWrapper {};
struct OpTester {
  explicit OpTester(const char*, int = 7) {}
  template <typename T>
  void AddAttribute(std::string name, T value) { Node().AddAttribute(name, value); }
  template <typename T>
  void AddInput(const char*, std::initializer_list<int64_t>, const std::initializer_list<T>&, bool = false) {}
  template <typename T>
  void AddOutput(const char*, std::initializer_list<int64_t>, const std::initializer_list<T>&) {}
  template <typename T>
  void AddOptionalInputEdge() {}
  template <typename T>
  void AddOptionalOutputEdge() {}
  void SetOutputRelErr(const char*, float) {}
  void SetOutputAbsErr(const char*, float) {}
  void Run() {}
};
struct ModelTestBuilder {
  NodeArg any;
  Node node;
  template <typename T>
  NodeArg* MakeInput(const std::vector<int64_t>&, const std::vector<T>&) { return &any; }
  template <typename T>
  NodeArg* MakeInitializer(const std::vector<int64_t>&, const std::vector<T>&) { return &any; }
  NodeArg* MakeOutput() { return &any; }
  NodeArg* MakeIntermediate() { return &any; }
  template <typename T>
  NodeArg* MakeOutput(const std::optional<std::vector<int64_t>>&) { return &any; }
  template <typename T>
  NodeArg* MakeIntermediate(const std::optional<std::vector<int64_t>>&) { return &any; }
  NodeArg* MakeEmptyInput() { return &any; }
  Node& AddNode(const std::string&, const std::vector<NodeArg*>&, const std::vector<NodeArg*>&,
                const std::string& = "") { return node; }
};
inline void TransformerTester(const std::function<void(ModelTestBuilder&)>&,
                              const std::function<void(InferenceSessionWrapper&)>&, TransformerLevel, TransformerLevel,
                              int = 12, double = 0.0, double = 0.0) {}
}  // namespace test
}  // namespace onnxruntime
