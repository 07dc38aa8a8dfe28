#include "hsm_signer/token/approvals.h"

#include <unistd.h>

#include <array>

#include "hsm_signer/token/operator_file.h"

namespace hsm::token {
namespace {

// At the start once: who changes the name restarts hsm-tokend.
Result<std::string> host_name() {
  std::array<char, 65> name{};  // HOST_NAME_MAX of Linux is 64.
  if (::gethostname(name.data(), name.size() - 1) != 0)
    return fail(os_error(Code::internal, "cannot learn the name of this host", "gethostname"));
  std::string text{name.data()};
  if (!officers::is_host_name(text))
    return fail(Code::usage, "the name of this host cannot stand in an officers' statement",
                "1 to 64 of [A-Za-z0-9._-]");
  return text;
}

std::string demand_text(const Quorum& quorum) {
  return std::to_string(quorum.need) + (quorum.need == 1 ? " officer" : " distinct officers") +
         " of group \"" + quorum.group + "\"";
}

}  // namespace

Result<officers::AllowedOfficers> load_officers(const Config& config, const Ceilings& ceilings) {
  if (!ceilings.demand_officers()) return officers::AllowedOfficers{};
  if (config.allowed_officers.empty())
    return fail(
        Code::usage, "ceilings demand officers, and no file says who they are",
        config.file + " needs a line as allowed_officers = \"/etc/hsm-tokend/allowed_officers\"");
  TRY(const Bytes bytes, read_operator_file(config.allowed_officers, config.mode));
  return officers::AllowedOfficers::parse(as_text(bytes), config.allowed_officers);
}

Result<Approvals> Approvals::open(const Config& config, const Ceilings& ceilings) {
  if (!ceilings.demand_officers()) return Approvals{};
  TRY(auto officers, load_officers(config, ceilings));
  TRY(std::string host, host_name());
  TRY(SpentStatements spent, SpentStatements::open(config.state_dir));
  return Approvals{{std::move(host), config.token, std::move(officers)}, std::move(spent)};
}

Result<officers::Stated> Approvals::judge(const Demanded& demanded, const Ceiling& ceiling,
                                          std::string_view key_name, std::string_view bundle,
                                          Clock::Wall now) const {
  if (bundle.empty())
    return fail(Code::approval_required, "officers have to state this request",
                "class " + std::string{venue::name(demanded.cls)} + " needs a statement of " +
                    demand_text(demanded.quorum));
  TRY(auto stated,
      officers::judge(bundle, place_.officers, {demanded.quorum.group, demanded.quorum.need}, now));
  const officers::Statement& says = stated.statement;
  const auto another = [](std::string_view what, const std::string& here) {
    return fail(Code::denied, "the officers have stated something else",
                "another " + std::string{what} + (here.empty() ? "" : " than " + here));
  };
  // Of verb approve, or these lines are not there.
  if (says.verb != officers::Verb::approve) return another("verb", "approve");
  if (says.host != place_.host) return another("host", place_.host);
  const auto token = says.arguments.find("token");
  if (token == says.arguments.end() || token->second != place_.token)
    return another("token", place_.token);
  if (says.key != key_name) return another("key", std::string{key_name});
  if (says.environment != name(ceiling.environment))
    return another("environment", std::string{name(ceiling.environment)});
  if (says.payload != demanded.payload) return another("payload", {});
  return stated;
}

Result<void> Approvals::spend(const officers::Statement& statement, Clock::Wall now) {
  if (!spent_) return fail(Code::internal, "a statement where no ceiling demands one");
  return spent_->spend(statement.id, statement.expires, now);
}

}  // namespace hsm::token
