// The files that the daemons start from: signer.toml, <token>.toml, ceilings.toml. The first byte
// chooses. What is taken is written out again from what was understood, apart from any parser, and
// must be understood alike; one unknown key more is refused.
#include <algorithm>
#include <array>
#include <initializer_list>

#include "hsm_signer/base/ids.h"
#include "hsm_signer/base/os.h"
#include "hsm_signer/base/toml.h"
#include "hsm_signer/config/signer_config.h"
#include "hsm_signer/token/ceiling.h"
#include "hsm_signer/token/config.h"
#include "hsm_signer/token/vault.h"
#include "tests/fuzz/demand.h"
#include "tests/fuzz/toml_text.h"

namespace hsm {
namespace {

using fuzz::demand;
using fuzz::TomlText;

constexpr std::string_view kDirectory = "/etc/hsm";

std::string unknown_key_behind(std::string_view text) {
  return std::string{text}.append("\nno_key_of_any_table = 1\n");
}

// Every mistake in a file is found by file, line and column.
void demand_place(const Error& error, std::string_view file, std::string_view text) {
  fuzz::demand_sentence(error);
  demand(error.code == Code::usage, "a mistake in a file is a usage error");
  std::string_view rest = error.detail;
  demand(error.what.empty() && rest.starts_with(file) && rest[file.size()] == ':',
         "a mistake has its file in front");
  rest.remove_prefix(file.size() + 1);
  const std::size_t line = std::stoul(std::string{rest.substr(0, rest.find(':'))});
  // toml++ names the line behind a last newline where a file ends too early.
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  demand(line >= 1 && line <= lines + 1, "the line is one of the file's");
}

// The kernel and the loader read up to a NUL: a path with one would be another path.
void demand_path(const std::string& path) {
  demand(path.starts_with('/') && path.find('\0') == std::string::npos, "a path is a whole path");
}
void demand_socket(const std::string& path) {
  demand_path(path);
  demand(path.size() < 108, "a socket path fits into sun_path");
}
// Names are looked up by functions that read up to a NUL.
void demand_names(std::string_view text, std::initializer_list<std::string_view> lists,
                  std::initializer_list<std::string_view> singles) {
  auto file = TomlTable::parse(text, "again");
  demand(file.has_value(), "what was taken is TOML");
  std::vector<std::string> names;
  for (const std::string_view key : lists) {
    const auto more = file->texts(key);
    names.insert(names.end(), more->begin(), more->end());
  }
  for (const std::string_view key : singles) names.push_back(*file->text_or(key, ""));
  for (const std::string& name : names) {
    demand(std::none_of(name.begin(), name.end(), [](char c) { return c >= 0 && c < 0x20; }),
           "a name is looked up to its end");
    demand(name != "4294967295", "the id that is none names nobody");
  }
}
void demand_users(const std::vector<uid_t>& uids) {
  demand(!uids.empty(), "somebody may connect");
  for (const uid_t uid : uids)
    demand(uid != 65534 && uid != static_cast<uid_t>(-1), "nobody in particular is no user");
}

std::vector<std::string> numbers(const std::vector<uid_t>& uids) {
  std::vector<std::string> texts;
  for (const uid_t uid : uids) texts.push_back(std::to_string(uid));
  return texts;
}
void write_group(TomlText& out, std::string_view key, gid_t gid) {
  if (gid != static_cast<gid_t>(-1)) out.text(key, std::to_string(gid));
}

// signer.toml

const std::string kSignerFile = std::string{kDirectory} + "/signer.toml";

std::string written(const SignerConfig& config) {
  TomlText out;
  out.number("version", 1);
  out.text("mode", config.mode == SignerConfig::Mode::production ? "production" : "development");
  out.text("socket", config.socket).text("admin_socket", config.admin_socket);
  out.text("state", config.state).text("audit", config.audit).text("audit_key", config.audit_key);
  out.text("policy", config.policy).texts("admins", numbers(config.admins));
  write_group(out, "socket_group", config.socket_group);
  write_group(out, "admin_group", config.admin_group);
  out.number("deadline_ms", config.deadline.count());
  for (const TokenConfig& token : config.tokens) {
    out.header("[[token]]").text("name", token.name.value).text("socket", token.socket);
    out.text("admin_socket", token.admin_socket).text("wrap_key", token.wrap_key);
  }
  return out.str();
}

void check_signer(std::string_view text) {
  const auto config = SignerConfig::parse(text, kSignerFile);
  if (!config) return demand_place(config.error(), kSignerFile, text);
  demand_socket(config->socket);
  demand_socket(config->admin_socket);
  for (const std::string* path :
       {&config->state, &config->audit, &config->audit_key, &config->policy})
    demand_path(*path);
  demand_users(config->admins);
  demand_names(text, {"admins"}, {"socket_group", "admin_group"});
  demand(config->deadline.count() >= 1 && config->deadline.count() <= 60'000, "a deadline ends");
  demand(!config->tokens.empty(), "a signer has a token");
  for (const TokenConfig& token : config->tokens) {
    demand(is_name(token.name.value) && config->token(token.name.value) == &token,
           "each token has a name of its own");
    demand_socket(token.socket);
    demand_socket(token.admin_socket);
    demand_path(token.wrap_key);
  }
  const auto again = SignerConfig::parse(written(*config), kSignerFile);
  demand(again && written(*again) == written(*config), "written again it says the same");
  demand(!SignerConfig::parse(unknown_key_behind(text), kSignerFile), "unknown keys are refused");
}

// <token>.toml

const std::string kTokenFile = std::string{kDirectory} + "/desk.toml";

std::string written(const token::Config& config) {
  TomlText out;
  out.number("version", 1);
  out.text("mode", config.mode == token::Mode::production ? "production" : "development");
  out.text("token", config.token).text("uri", config.uri.text()).text("module", config.module);
  if (!config.module_arguments.empty()) out.text("module_arguments", config.module_arguments);
  if (config.module_writes) out.texts("module_writes", *config.module_writes);
  if (config.accept_unfit_token) out.raw("accept_unfit_token", "true");
  out.text("profile", config.profile->name).number("workers", config.workers);
  out.number("depth", config.depth).number("call_deadline_ms", config.call_limit.count());
  out.text("pin_source", "file:" + config.pin_file);
  out.text("socket", config.socket).text("admin_socket", config.admin_socket);
  write_group(out, "socket_group", config.socket_group);
  write_group(out, "admin_group", config.admin_group);
  out.texts("clients", numbers(config.clients));
  out.texts("admin_clients", numbers(config.admin_clients));
  out.text("state_dir", config.state_dir).text("ceilings", config.ceilings);
  if (!config.allowed_officers.empty()) out.text("allowed_officers", config.allowed_officers);
  out.text("wrap_public", config.wrap_public).text("audit_public", config.audit_public);
  if (!config.wrap_private.empty()) out.text("wrap_private", config.wrap_private);
  out.header("[module_env]");
  for (const auto& [name, value] : config.module_env) out.text(name, value);
  return out.str();
}

void demand_environment(const std::vector<std::pair<std::string, std::string>>& variables) {
  for (const auto& [name, value] : variables) {
    demand(!name.starts_with("LD_") && name != "PATH" && name != "GLIBC_TUNABLES" &&
               !name.starts_with("OPENSSL_"),
           "a module's environment chooses no code");
    demand(!name.empty() && name.find_first_of(std::string_view{"=\0", 2}) == std::string::npos &&
               value.find('\0') == std::string::npos,
           "a variable arrives as it was written");
  }
}

void check_token(std::string_view text) {
  const auto config = token::Config::parse(text, kTokenFile);
  if (!config) return demand_place(config.error(), kTokenFile, text);
  demand(config->text == text && is_name(config->token), "workers get the text as it was read");
  demand_socket(config->socket);
  demand_socket(config->admin_socket);
  demand(config->socket != config->admin_socket, "the socket is the role");
  for (const std::string* path : {&config->module, &config->pin_file, &config->state_dir,
                                  &config->ceilings, &config->wrap_public, &config->audit_public})
    demand_path(*path);
  if (!config->allowed_officers.empty()) demand_path(config->allowed_officers);
  demand_users(config->clients);
  demand_users(config->admin_clients);
  demand_names(text, {"clients", "admin_clients"}, {"socket_group", "admin_group"});
  demand_environment(config->module_env);
  demand(config->profile != nullptr && config->workers >= 1 &&
             config->workers <= config->profile->most_workers && config->depth >= 1 &&
             config->depth <= config->profile->depth && config->call_limit.count() >= 10,
         "a token gets no more than its profile says");
  const auto again = token::Config::parse(written(*config), kTokenFile);
  demand(again && written(*again) == written(*config), "written again it says the same");
  demand(!token::Config::parse(unknown_key_behind(text), kTokenFile), "unknown keys are refused");
}

// ceilings.toml

const std::string kCeilingsFile = "ceilings.toml";
constexpr std::array kRequests{
    std::string_view{"/v1/balances"},       std::string_view{"/v1/order/cancel"},
    std::string_view{"/v1/order/new"},      std::string_view{"/v1/heartbeat"},
    std::string_view{"/v1/withdraw/btc"},   std::string_view{"/v1/approvedAddresses/btc/request"},
    std::string_view{"/v1/account/create"}, std::string_view{"/v1/no/such/endpoint"}};

// What a key may have signed is within its classes, and never without an officer where the key is
// worth one.
void judges_within(const token::Ceiling& ceiling) {
  for (const std::string_view request : kRequests) {
    const std::string json = std::string{R"({"nonce":1,"request":")"}.append(request).append("\"}");
    const auto judged = token::judge(ceiling, json);
    const venue::Endpoint* endpoint = venue::find_endpoint(request);
    if (endpoint == nullptr) {
      demand(!judged, "what the table lacks is never signed");
      continue;
    }
    const bool dangerous = endpoint->cls == venue::Class::move ||
                           endpoint->cls == venue::Class::widen ||
                           endpoint->cls == venue::Class::admin;
    const bool free = !dangerous || ceiling.environment == Environment::sandbox;
    demand(judged.has_value() ==
               (ceiling.permits(endpoint->cls) && (free || ceiling.officers.has_value())),
           "signed is just what the classes say");
    if (!judged) continue;
    const auto& demanded = *judged;
    demand(demanded.has_value() == (dangerous && ceiling.officers.has_value()),
           "and officers are asked where they have to be");
    demand(!demanded ||
               (demanded->quorum.need >= 1 && demanded->payload.find("nonce") == std::string::npos),
           "about the request without its nonce");
  }
}

// The file once more through the general reader: labels and classes of the entries.
struct Entry {
  std::string label;
  std::vector<std::string> classes;
};
std::vector<Entry> entries_of(std::string_view text) {
  auto file = TomlTable::parse(text, kCeilingsFile);
  demand(file.has_value(), "what is a ceilings file is TOML");
  auto tables = file->tables("key");
  std::vector<Entry> entries;
  for (TomlTable& table : *tables)
    entries.push_back({*table.text("label"), *table.texts("classes")});
  return entries;
}

const Entry* entry_of(const std::vector<Entry>& entries, std::string_view label) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.label == label; });
  return found == entries.end() ? nullptr : &*found;
}

// The ceiling of one version of a key is that of its own label, else its key's, else everybody's.
void finds(const token::Ceilings& ceilings, const std::vector<Entry>& entries,
           const std::string& label) {
  const Entry* entry = entry_of(entries, label);
  if (entry == nullptr) entry = entry_of(entries, label.substr(0, label.rfind(".v")));
  if (entry == nullptr) entry = entry_of(entries, "*");
  const token::Ceiling& ceiling = ceilings.of(label);
  std::uint32_t classes = 0;
  if (entry == nullptr) {
    classes = token::Ceiling::without_entry().classes;
  } else {
    for (const std::string& name : entry->classes) {
      venue::Class cls{};
      demand(venue::class_from_name(name, cls), "a class has a name");
      classes |= 1U << static_cast<unsigned>(cls);
    }
  }
  demand(ceiling.classes == classes, "a key has the classes of its entry");
  judges_within(ceiling);
}

void check_ceilings(std::string_view text) {
  const auto strict = token::Ceilings::parse(text, kCeilingsFile, token::Mode::production);
  const auto ceilings = token::Ceilings::parse(text, kCeilingsFile, token::Mode::development);
  demand(ceilings || !strict, "production takes nothing that development refuses");
  if (!strict) demand_place(strict.error(), kCeilingsFile, text);
  if (!ceilings) return demand_place(ceilings.error(), kCeilingsFile, text);
  const std::vector<Entry> entries = entries_of(text);
  demand(!strict || entry_of(entries, "*") == nullptr, "production names each key");
  finds(*ceilings, entries, "nobody.v1");
  for (const Entry& entry : entries) {
    if (entry.label == "*") continue;
    if (token::parse_key_label(entry.label)) finds(*ceilings, entries, entry.label);
    if (is_name(entry.label)) finds(*ceilings, entries, entry.label + ".v7");
  }
  demand(!token::Ceilings::parse(unknown_key_behind(text), kCeilingsFile, token::Mode::development),
         "unknown keys are refused");
}

}  // namespace
}  // namespace hsm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = hsm::fuzz::text_of(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:  // '0'
      hsm::check_signer(text);
      break;
    case 1:
      hsm::check_token(text);
      break;
    default:
      hsm::check_ceilings(text);
  }
  return 0;
}
