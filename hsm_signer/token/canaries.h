// When a key is to prove itself again. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace hsm::token {

// Two counts: of the worker's signatures, so that a module that spoils every MAC has let no more of
// them out however many keys took turns; and of each key's own, so that no busy key answers for a
// quiet one. Labels are those of keys that the token holds, so there are not many.
class Canaries {
 public:
  explicit Canaries(std::uint32_t every) : every_{every} {}

  // Counts a signature that is about to be made; whether the key is to prove itself before.
  bool due(const std::string& label) {
    const std::uint32_t of_key = ++of_key_[label];
    return ++of_worker_ >= every_ || of_key >= every_;
  }
  // It has.
  void sang(const std::string& label) { of_worker_ = of_key_[label] = 0; }

 private:
  std::uint32_t every_;
  std::uint32_t of_worker_ = 0;
  std::unordered_map<std::string, std::uint32_t> of_key_;
};

}  // namespace hsm::token
