#include "tests/support/token_host.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "hsm_signer/wire/blob.h"

namespace hsm::test {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 20s;
constexpr auto kPause = 10ms;

std::string slurp(const std::string& path) {
  std::ifstream file{path};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

template <class Done>
bool eventually(Done done) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < until) {
    if (done()) return true;
    std::this_thread::sleep_for(kPause);
  }
  return done();
}

}  // namespace

wire::MacRequest mac_request(const token::ObjectName& object, std::string_view secret,
                             std::string_view json) {
  const auto canonical = wire::canonical_secret(SecretBytes::copy_of(as_bytes(secret)));
  const std::string message = base64_encode(as_bytes(json));
  return {.label = object.label,
          .cka_id = object.cka_id,
          .key_check = wire::key_check_value(canonical->view()),
          .message = {message.begin(), message.end()},
          .statements = {}};
}

TokenHost::TokenHost() : TokenHost{Options{}} {}
TokenHost::TokenHost(Options options) : options_{std::move(options)} {}

TokenHost::~TokenHost() {
  if (pid_ != 0) stop();
  // In development mode a system call outside the filter is only loud.
  for (const char* const word : {"confinement_violation", "SIGSYS"})
    EXPECT_EQ(log().find(word), std::string::npos) << log();
}

void TokenHost::write(const std::string& name, const std::string& text) const {
  std::ofstream{dir() + "/" + name} << text;
}

void TokenHost::make_wrap_key(const std::string& name) const {
  const std::string path = dir() + "/" + name;
  const std::string command =
      "umask 077; openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out " + path +
      " 2>/dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

void TokenHost::start() {
  std::map<std::string, std::string> environment{options_.module_env.begin(),
                                                 options_.module_env.end()};
  environment.emplace("SOFTHSM2_CONF", token_.conf());  // Unless the test brings its own token.
  std::string variables;
  for (const auto& [name, value] : environment)
    variables += (variables.empty() ? "" : ", ") + name + " = \"" + value + "\"";
  write("desk.toml", "version = 1\nmode = \"development\"\ntoken = \"desk\"\nprofile = \"" +
                         options_.profile + "\"\nuri = \"" + options_.uri + "\"\nmodule = \"" +
                         options_.module + "\"\nworkers = " + std::to_string(options_.workers) +
                         "\npin_source = \"file:pin\"\nsocket = \"desk.sock\"\nadmin_socket = "
                         "\"desk.admin.sock\"\n"
                         "state_dir = \"state\"\nceilings = \"ceilings.toml\"\nwrap_public = "
                         "\"wrap-desk.pub.pem\"\n"
                         "audit_public = \"audit.pub.pem\"\nmodule_env = { " +
                         variables + " }\n" + options_.more);
  write("ceilings.toml", options_.ceilings);
  const pid_t child = ::fork();
  if (child < 0) {  // As a pid, -1 is everybody's.
    std::perror("token_host: cannot fork");
    std::abort();
  }
  pid_ = child;
  if (child != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // A test that aborts leaves nobody behind.
  const int log_fd = ::open((dir() + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(log_fd, STDERR_FILENO);
  ::dup2(log_fd, STDOUT_FILENO);
  ::execl(HSM_TOKEND, "hsm-tokend", "--config", config().c_str(), nullptr);
  ::_exit(127);
}

int TokenHost::stop() {
  if (pid_ <= 0) return -1;  // Not started, or stopped already.
  ::kill(pid_, SIGTERM);
  int how = 0;
  const auto gone = [&] { return ::waitpid(pid_, &how, WNOHANG) == pid_; };
  if (!eventually(gone)) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &how, 0);
  }
  pid_ = 0;
  return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

std::vector<pid_t> TokenHost::workers() const {
  std::istringstream children{
      slurp("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) + "/children")};
  std::vector<pid_t> pids;
  for (pid_t pid = 0; children >> pid;) pids.push_back(pid);
  return pids;
}

std::string TokenHost::log() const { return slurp(dir() + "/log"); }

bool TokenHost::logs(const std::string& text, int times) const {
  return eventually([&] {
    const std::string all = log();
    int seen = 0;
    for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1))
      ++seen;
    return seen >= times;
  });
}

TokenClient TokenHost::eager(const std::string& path) {
  std::optional<TokenClient> client;
  eventually([&] {
    auto greeted = TokenClient::greeted(path);
    if (greeted) client.emplace(*std::move(greeted));
    return client.has_value();
  });
  if (client) return *std::move(client);
  std::fprintf(stderr, "token_host: nobody serves %s\n%s\n", path.c_str(), log().c_str());
  std::abort();
}

TokenClient TokenHost::client() { return eager(socket()); }
TokenClient TokenHost::admin() { return eager(admin_socket()); }

Result<void> TokenHost::import(const token::ObjectName& object, std::string_view secret) {
  TokenClient host = admin();
  TRY(const auto pem, host.ask<wire::PublicKeyAnswer>(wire::WrapKeyQuery{}));
  TRY(const SecretBytes canonical, wire::canonical_secret(SecretBytes::copy_of(as_bytes(secret))));
  TRY(const auto blob, wire::wrap(canonical, pem.pem));
  TRY_VOID(host.ask<wire::Imported>(
      wire::Import{.label = object.label, .cka_id = object.cka_id, .blob = blob.encode()}));
  return {};
}

}  // namespace hsm::test
