#include "tests/unit/ctl/fixture.h"

#include <fstream>
#include <sstream>

#include "hsm_signer/ctl/command_line.h"

namespace hsm::ctl {
namespace {

// Public halves of RSA-3072 keys whose private halves were thrown away: nothing here is unwrapped.
constexpr const char* kWrapKey = R"(-----BEGIN PUBLIC KEY-----
MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAuq3Dtj7Nxh10qiGm0OhQ
n0s8SDzJEZGve78fYSwq7uaQUWSy8EYrExPnCBZyqkv0UjFpZZKaRXf/CePU4u/t
IQK1S8K185ufZEgIP748tm0PCa810BhAxAg8I6ce3NpYiVCgD7CghQWsarD5C92T
/lM0HhjfycrwdzxWhAWRF4gImXrzwPPyteJvcCgARkSc0sMP8E7zyCssg5iSEQr5
nURi5OYLnampPKYQTQspqOLUFA9i2J+RWAct1Ly8D96PAYTKg0nwwhDs+RGyAMRP
ac6XCHseF8fgmh69hPhmCOUFyERcgv5rfSqx87V9rjTdZv2j5R5lGCSBpop5HfUM
bBrG4M/IgMVmS6S8GVT/NICUKcd8zh2jc+b4mGnNQPvTc4oyI3cv7HyB9oiLKit4
1/DxnBHaEhzhdKgHy3Q2P7/siUDvO/AydnIMYGM7Np6NuPXmryUQU2lHV24M6/gQ
r2feQfnq+/OZ4t03koAbsI5sYyMCyZeK5bXbLTMjTzRJAgMBAAE=
-----END PUBLIC KEY-----
)";
constexpr const char* kOtherWrapKey = R"(-----BEGIN PUBLIC KEY-----
MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAq1JPc5DTYLLtWFOwPqW9
vqyaVjV4HGMuGZBKhMZCCNGjKncLJLCnHRx+oZEvLhQp3iRauGxyVB2Bu8NQC5Cg
COQTLYRHn4OmWLLHmXWRBRSqX/KVnh1tQJDdR9EfnSBZhgdI7QjMHg7bxj07k7YX
9NJyA42gtBow2/aLFwM6pRhn7a9z3YhlRNgWcfLZf7fFt6F0KDzfP28VsNgsLDpl
WIG1N0eYBPJMdc+sXaPiTuDPjbUPnjpLRuYvc/e9+O9qmZuk9L49VGAMCGnSGWlV
scOtFJpF4FhsxNGZxA0MGWRU0VE33QI9FIKjYGgLTgdtvtrYfKm/9cc8/eUrar+E
lCRQB54hqjS7N8dRy5e7nLPrgvxx80nvn6wpqPSsxC3OfO8m2x8dL2zuxLaboCcl
8M+CmfotwsOH7zMLHAErAbC17JGLq6A+c3QPfUm72/Y3StO/CcMkqaBJHhlB/tKr
8eUY3R4n95w00mfERo3B/GQHLEMBNz2ZAfXHplVtsZBjAgMBAAE=
-----END PUBLIC KEY-----
)";

constexpr const char* kSignerToml = R"(version = 1
mode = "development"
socket = "signer.sock"
admin_socket = "admin.sock"
state = "state.db"
audit = "audit"
audit_key = "audit.pub.pem"
policy = "policy.toml"
[[token]]
name = "dev"
socket = "dev.sock"
admin_socket = "dev.admin.sock"
wrap_key = "wrap-dev.pub.pem"
)";

}  // namespace

const std::string& wrap_key_pem() {
  static const std::string pem = kWrapKey;
  return pem;
}
const std::string& other_wrap_key_pem() {
  static const std::string pem = kOtherWrapKey;
  return pem;
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream{path, std::ios::binary} << text;
}

Ran run_ctl(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv{"hsm-signerctl"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::ostringstream out, err;
  const int status = run(static_cast<int>(argv.size()), argv.data(), out, err);
  return {.status = status, .out = out.str(), .err = err.str()};
}

wire::VersionItem version(std::uint32_t number, const std::string& state,
                          const std::string& health) {
  wire::VersionItem item;
  item.key = "desk-a.trade";
  item.version = number;
  item.token = "dev";
  item.cka_id = static_cast<std::uint16_t>(number);
  item.api_key_id = "account-x";
  item.environment = "sandbox";
  item.scope = "account";
  item.roles = "trader";
  item.nonce_form = "signer-ms";
  item.key_check = "0011223344556677";
  item.state = state;
  item.created = "2026-11-23T19:15:02.123456Z";
  item.health = health;
  return item;
}
wire::ObjectItem object(std::uint32_t number) {
  return {.label = "desk-a.trade.v" + std::to_string(number),
          .cka_id = static_cast<std::uint16_t>(number)};
}

PlayedDirectory::PlayedDirectory() {
  write("signer.toml", kSignerToml);
  signer = std::make_unique<client::FakeDaemon>(file("signer.sock"));
  admin = std::make_unique<client::FakeDaemon>(file("admin.sock"));
  token_admin = std::make_unique<client::FakeDaemon>(file("dev.admin.sock"));
}

std::string PlayedDirectory::write(const std::string& name, const std::string& content) const {
  write_text(file(name), content);
  return file(name);
}

Ran PlayedDirectory::ctl(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), {"--dir", dir.text()});
  return run_ctl(arguments);
}

}  // namespace hsm::ctl
