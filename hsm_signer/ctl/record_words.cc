#include "hsm_signer/ctl/record_words.h"

#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <vector>

#include "hsm_signer/audit_tools/filter.h"
#include "hsm_signer/audit_tools/text.h"
#include "hsm_signer/base/os.h"

namespace hsm::ctl {
namespace {

using audit::Kind;
using audit::Record;

constexpr const char* kJournal = "/run/systemd/journal/socket";

std::string fields_of(const Record& record) {
  std::string text;
  for (const audit::Field& field : record.fields)
    text.append(text.empty() ? "" : " ").append(field.name + "=" + field.value);
  return text;
}

int priority_of(const Record& record) {
  switch (record.kind) {
    case Kind::sign:
      return record.verdict == audit::Verdict::allow ? LOG_INFO : LOG_NOTICE;
    case Kind::gap:
    case Kind::refusals:
      return LOG_WARNING;
    case Kind::admin:
      return record.action == "alarm" ? LOG_ALERT : LOG_NOTICE;
    case Kind::usage:
      return LOG_INFO;
    case Kind::key:
    case Kind::start:
    case Kind::stop:
    case Kind::token:
      break;
  }
  return LOG_NOTICE;
}

// "NAME=value" each.
std::vector<std::string> fields_for_journal(std::string_view line) {
  std::vector<std::string> fields{"SYSLOG_IDENTIFIER=hsm-signer-audit",
                                  "HSM_SIGNER_RECORD=" + std::string{line}};
  const auto record = audit::parse_line(line);
  if (!record) {
    fields.push_back("MESSAGE=not a record of an audit log");
    fields.push_back("PRIORITY=" + std::to_string(LOG_WARNING));
    return fields;
  }
  const bool sign = record->kind == Kind::sign;
  const bool allow = sign && record->verdict == audit::Verdict::allow;
  const std::string kind =
      sign ? (allow ? "allow" : "refuse") : std::string{audit_tools::name(record->kind)};
  std::string message = kind;
  if (sign) message += " " + record->client + " " + record->key + " " + record->endpoint;
  fields.push_back("MESSAGE=" + audit_tools::printable(message + ": " + what_of(*record)));
  fields.push_back("PRIORITY=" + std::to_string(priority_of(*record)));
  fields.push_back("HSM_SIGNER_SEQ=" + std::to_string(record->seq));
  fields.push_back("HSM_SIGNER_KIND=" + std::string{audit_tools::name(record->kind)});
  if (sign || record->kind == Kind::key) fields.push_back("HSM_SIGNER_KEY=" + record->key);
  if (!sign) return fields;
  fields.push_back(std::string{"HSM_SIGNER_VERDICT="} + (allow ? "allow" : "refuse"));
  fields.push_back("HSM_SIGNER_CLIENT=" + record->client);
  fields.push_back("HSM_SIGNER_ENDPOINT=" + record->endpoint);
  if (!allow) fields.push_back("HSM_SIGNER_CODE=" + record->code);
  return fields;
}

}  // namespace

std::string what_of(const Record& record) {
  switch (record.kind) {
    case Kind::sign:
      return record.verdict == audit::Verdict::allow ? fields_of(record)
                                                     : record.code + ": " + record.sentence;
    case Kind::key:
      return record.action + " version " + std::to_string(record.version) + " " + record.api_key_id;
    case Kind::admin:
      return record.action + " " + record.subject +
             (record.reason.empty() ? "" : " (" + record.reason + ")");
    case Kind::start:
      return "instance " + record.instance + ", software " + record.software;
    case Kind::stop:
      return "instance " + record.instance + ": " + record.reason;
    case Kind::usage:
      return record.token + ": " + std::to_string(record.worker_counter) + " signed";
    case Kind::refusals:
      return std::to_string(record.count) + " not written one by one: " + fields_of(record);
    case Kind::token:
      return record.token + " " + record.event + (record.detail.empty() ? "" : ": ") +
             record.detail;
    case Kind::gap:
      break;
  }
  return "counts " + std::to_string(record.from) + " to " + std::to_string(record.to) + ": " +
         record.reason;
}

Result<void> send_to_journal(std::string_view line) {
  // The library says nothing where there is no journal.
  if (::access(kJournal, F_OK) != 0) return fail(Code::usage, "journald is not here", kJournal);
  const std::vector<std::string> fields = fields_for_journal(line);
  std::vector<iovec> parts;
  for (const std::string& field : fields)
    parts.push_back({const_cast<char*>(field.data()), field.size()});
  if (const int sent = ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size())); sent < 0)
    return fail(os_error(Code::usage, "journald does not take it", kJournal, -sent));
  return {};
}

}  // namespace hsm::ctl
