// A private SoftHSM2 token per test, made by softhsm-config/init-token.sh, the one source of such
// tokens.
#pragma once

#include <string>

#include "tests/support/temp_dir.h"

namespace hsm::test {

inline constexpr const char* kSoftHsmModule = "/usr/lib/softhsm/libsofthsm2.so";

class SoftToken {
 public:
  // Aborts with a sentence where SoftHSM is not installed.
  explicit SoftToken(const std::string& label = "desk");

  const std::string& dir() const { return dir_.path(); }
  const std::string& label() const { return label_; }
  std::string conf() const { return dir_ / "softhsm2.conf"; }
  std::string pin_file() const { return dir_ / "pin"; }
  std::string uri() const { return "pkcs11:token=" + label_; }
  // For loading the module into this process. SoftHSM reads it once, at C_Initialize.
  void use_in_this_process() const;

 private:
  TempDir dir_;
  std::string label_;
};

}  // namespace hsm::test
