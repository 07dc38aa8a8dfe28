// Makes a development directory: a SoftHSM token and every configuration file, ready for `up`.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "hsm_signer/ctl/process.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/policy/development.h"

namespace hsm::ctl {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kMostWorkers = 64;
constexpr std::size_t kOutputLimit = 4096;

struct Plan {
  std::string dir;  // Absolute.
  std::string token;
  std::uint32_t workers;
  std::string module;
  std::string script;  // init-token.sh

  std::string file(std::string_view name) const { return dir + "/" + std::string{name}; }
  std::string socket() const { return file("run/" + token + ".sock"); }
  std::string admin_socket() const { return file("run/" + token + ".admin.sock"); }
  std::string state_dir() const { return file(token + ".state"); }
  std::string wrap_key() const { return file("wrap-" + token + ".pub.pem"); }
};

// The first of several places where a file may lie.
Result<std::string> find_first(const std::vector<std::string>& places, std::string_view missing,
                               std::string_view help) {
  for (const std::string& place : places) {
    if (::access(place.c_str(), R_OK) == 0) return place;
  }
  return fail(Code::usage, missing, std::string{help});
}

Result<std::string> find_module() {
  return find_first(
      {"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
       "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"},
      "libsofthsm2.so is missing", "apt-get install softhsm2");
}

Result<std::string> find_script() {
  return find_first({HSM_SOFTHSM_CONFIG_DIR "/init-token.sh",
                     own_directory() + "/../share/hsm-signer/softhsm-config/init-token.sh"},
                    "init-token.sh is missing",
                    "it belongs to /usr/share/hsm-signer/softhsm-config; install hsm-signer again");
}

// What goes into TOML strings and softhsm2.conf without any quoting.
Result<void> check_directory_name(const std::string& dir) {
  const bool plain = std::all_of(dir.begin(), dir.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"/._-"}.find(c) != std::string_view::npos;
  });
  if (plain) return {};
  return fail(Code::usage, "the path of DIR may hold letters, digits and / . _ - only", dir);
}

Result<void> check_vacant(const std::string& dir) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(dir, error))) return {};
  if (!fs::is_directory(dir, error)) return fail(Code::usage, "exists and is not a directory", dir);
  if (fs::is_empty(dir, error) && !error) return {};
  return fail(Code::usage, "DIR is not empty",
              dir + "; choose another, or remove it when nothing runs there");
}

Result<Plan> make_plan(const Context& context, const InitOptions& options) {
  TRY(const std::string dir, context.directory("init"));
  Plan plan{
      .dir = dir, .token = options.token, .workers = options.workers, .module = {}, .script = {}};
  if (!is_name(plan.token) || plan.token == "signer" || plan.token == "policy" ||
      plan.token == "ceilings")
    return fail(Code::usage,
                "a token name must match [a-z0-9][a-z0-9._-]{0,31} and be none of signer, policy, "
                "ceilings");
  if (plan.workers < 1 || plan.workers > kMostWorkers)
    return fail(Code::usage, "--workers takes 1 to 64");
  TRY_VOID(check_directory_name(dir));
  TRY_VOID(check_socket_path(plan.admin_socket()));
  TRY_VOID(check_socket_path(plan.file("run/signer.sock")));
  TRY_VOID(check_vacant(dir));
  TRY(plan.module, find_module());
  TRY(plan.script, find_script());
  return plan;
}

std::string signer_toml(const Plan& plan) {
  return "# hsm-signerd of a development directory: every daemon runs under one uid.\n"
         "version = 1\n"
         "mode = \"development\"\n"
         "socket = \"run/signer.sock\"\n"
         "admin_socket = \"run/admin.sock\"\n"
         "state = \"state.db\"\n"
         "audit = \"audit\"\n"
         "audit_key = \"audit.pub.pem\"\n"
         "policy = \"policy.toml\"\n"
         "\n"
         "[[token]]\n"
         "name = \"" +
         plan.token +
         "\"\n"
         "socket = \"run/" +
         plan.token +
         ".sock\"\n"
         "admin_socket = \"run/" +
         plan.token +
         ".admin.sock\"\n"
         "wrap_key = \"wrap-" +
         plan.token + ".pub.pem\"\n";
}

std::string token_toml(const Plan& plan) {
  return "# hsm-tokend of a SoftHSM token: its files and the PIN beside them are the secrets.\n"
         "version = 1\n"
         "mode = \"development\"\n"
         "token = \"" +
         plan.token +
         "\"\n"
         "uri = \"pkcs11:token=" +
         plan.token +
         "\"\n"
         "module = \"" +
         plan.module +
         "\"\n"
         "module_env = { SOFTHSM2_CONF = \"" +
         plan.file("softhsm2.conf") +
         "\" }\n"
         "module_writes = [\"" +
         plan.file("token") +
         "\"]\n"
         "profile = \"softhsm\"\n"
         "workers = " +
         std::to_string(plan.workers) +
         "\n"
         "pin_source = \"file:" +
         plan.file("pin") +
         "\"\n"
         "socket = \"" +
         plan.socket() +
         "\"\n"
         "admin_socket = \"" +
         plan.admin_socket() +
         "\"\n"
         "state_dir = \"" +
         plan.state_dir() +
         "\"\n"
         "ceilings = \"" +
         plan.file("ceilings.toml") +
         "\"\n"
         "wrap_public = \"" +
         plan.wrap_key() +
         "\"\n"
         "audit_public = \"" +
         plan.file("audit.pub.pem") + "\"\n";
}

std::string ceilings_toml() {
  return "# What hsm-tokend signs at most, whatever hsm-signerd asks for: sandbox keys, "
         "everything.\n"
         "version = 1\n"
         "\n"
         "[[key]]\n"
         "label = \"*\"\n"
         "environment = \"sandbox\"\n"
         "classes = [\"read\", \"cancel\", \"trade\", \"session\", \"move\", \"widen\", "
         "\"admin\"]\n"
         "rate = 1000000\n"
         "officers = 0\n";
}

Result<void> write_text(const std::string& path, const std::string& text, mode_t mode) {
  return write_file_atomic(path, as_bytes(text), mode);
}

// Runs init-token.sh DIR TOKEN. It makes the PINs itself, so none is among the arguments.
Result<void> make_token(const Plan& plan) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
    return fail(os_error(Code::internal, "cannot make a pipe for", plan.script));
  OwnedFd reads{pipe[0]}, writes{pipe[1]};
  const pid_t pid = ::fork();
  if (pid < 0) return fail(os_error(Code::internal, "cannot fork for", plan.script));
  if (pid == 0) {
    ::dup2(writes.get(), STDOUT_FILENO);
    ::dup2(writes.get(), STDERR_FILENO);
    ::execl("/bin/sh", "sh", plan.script.c_str(), plan.dir.c_str(), plan.token.c_str(), nullptr);
    ::_exit(127);
  }
  writes.reset();
  std::string said;
  std::array<char, 512> part{};
  for (;;) {
    const ssize_t got = ::read(reads.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    if (said.size() < kOutputLimit) said.append(part.data(), static_cast<std::size_t>(got));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  while (!said.empty() && said.back() == '\n') said.pop_back();
  return fail(Code::token_unavailable, "the SoftHSM token could not be made", std::move(said));
}

Result<void> fill(const Plan& plan) {
  for (const std::string& folder : {plan.file("run"), plan.file("log"), plan.state_dir()})
    TRY_VOID(make_directory(folder, 0700));
  TRY_VOID(make_token(plan));
  TRY_VOID(write_text(plan.file("signer.toml"), signer_toml(plan), 0644));
  TRY_VOID(write_text(plan.file(plan.token + ".toml"), token_toml(plan), 0644));
  TRY_VOID(write_text(plan.file("ceilings.toml"), ceilings_toml(), 0644));
  return write_text(plan.file("policy.toml"), policy::development_policy(::geteuid()), 0644);
}

// All or nothing: what stands in DIR afterwards came from us, since it was empty before.
void clear(const std::string& dir, bool existed) {
  std::error_code ignored;
  if (!existed) {
    fs::remove_all(dir, ignored);
    return;
  }
  for (const fs::directory_entry& entry : fs::directory_iterator{dir, ignored})
    fs::remove_all(entry.path(), ignored);
}

}  // namespace

Result<void> init(Context& context, const InitOptions& options) {
  TRY(const Plan plan, make_plan(context, options));
  std::error_code ignored;
  const bool existed = fs::exists(plan.dir, ignored);
  TRY_VOID(make_directory(plan.dir, 0700));
  if (const Result<void> filled = fill(plan); !filled) {
    clear(plan.dir, existed);
    return filled;
  }
  Json json;
  json.text("dir", plan.dir).text("token", plan.token).text("config", plan.file("signer.toml"));
  context.answer(json, "made " + plan.dir + " with token \"" + plan.token +
                           "\"\nstart it: hsm-signerctl --dir " + plan.dir + " up\n");
  return {};
}

}  // namespace hsm::ctl
