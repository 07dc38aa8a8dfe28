#include "tests/support/soft_token.h"

#include <cstdio>
#include <cstdlib>

namespace hsm::test {
namespace {

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "soft_token: %s\n", what);
  std::abort();
}

}  // namespace

SoftToken::SoftToken(const std::string& label) : label_{label} {
  const std::string command =
      std::string{HSM_SOURCE_DIR} + "/softhsm-config/init-token.sh " + dir_.path() + " " + label;
  if (std::system(command.c_str()) != 0) give_up("softhsm-config/init-token.sh failed");
}

void SoftToken::use_in_this_process() const { ::setenv("SOFTHSM2_CONF", conf().c_str(), 1); }

}  // namespace hsm::test
