// hsm-signerctl in this process, and a directory whose daemons the test plays itself.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "hsm_signer/wire/admin.h"
#include "hsm_signer/wire/blob.h"
#include "hsm_signer/wire/client.h"
#include "hsm_signer/wire/token.h"
#include "tests/support/error_is.h"
#include "tests/unit/client_shim/fake_daemon.h"

namespace hsm::ctl {

struct Ran {
  int status;
  std::string out;
  std::string err;
};
// hsm-signerctl with these arguments.
Ran run_ctl(const std::vector<std::string>& arguments);

void write_text(const std::string& path, const std::string& text);

// As two tokens would pin them.
const std::string& wrap_key_pem();
const std::string& other_wrap_key_pem();

// Version `number` of desk-a.trade, and the object that stands for it in token "dev".
wire::VersionItem version(std::uint32_t number, const std::string& state,
                          const std::string& health);
wire::ObjectItem object(std::uint32_t number);

// DIR with signer.toml, wrap-dev.pub.pem and fakes on all three sockets that ctl speaks to.
class PlayedDirectory : public ::testing::Test {
 protected:
  PlayedDirectory();

  // With --dir in front.
  Ran ctl(std::vector<std::string> arguments) const;
  std::string file(const std::string& name) const { return dir / name; }
  // `content` under a name in DIR.
  std::string write(const std::string& name, const std::string& content) const;

  client::TempDir dir;
  std::unique_ptr<client::FakeDaemon> signer, admin, token_admin;
};

// An Error for fakes to answer with.
template <class T>
Result<T> refusal(Code code, const std::string& sentence) {
  return fail(code, {}, sentence);
}

}  // namespace hsm::ctl
