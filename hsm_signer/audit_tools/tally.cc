#include "hsm_signer/audit_tools/tally.h"

#include <cstdlib>

namespace hsm::audit_tools {
namespace {

using audit::Kind;
using audit::Record;
using audit::Verdict;

// In the place of a rule: these refusals were counted and not written one by one.
constexpr const char* kCounted = "(counted only)";

// In a map that no log can make grow without end.
template <class Map>
auto& slot(Map& map, const typename Map::key_type& key, const typename Map::key_type& others) {
  return map.contains(key) || map.size() < kNamesLimit ? map[key] : map[others];
}

std::string named(const std::string& text) { return text.empty() ? "(none)" : text; }

void count(Verdicts& verdicts, Verdict verdict) {
  ++(verdict == Verdict::allow ? verdicts.allowed : verdicts.refused);
}

void add_sign(Tally& tally, const Record& record) {
  count(slot(tally.keys, named(record.key), "(others)"), record.verdict);
  count(slot(tally.clients, named(record.client), "(others)"), record.verdict);
  count(slot(tally.classes, named(record.endpoint_class), "(others)"), record.verdict);
  if (record.verdict == Verdict::allow) {
    ++tally.allowed;
    tally.by_key.add(named(record.key), record.time);
    tally.by_client.add(named(record.client), record.time);
    return;
  }
  ++tally.refused;
  tally.by_code.add(record.code, record.time);
  ++slot(tally.reasons, {record.code, record.rule}, {"(others)", ""});
}

void add_refusals(Tally& tally, const Record& record) {
  tally.refused += record.count;
  for (const audit::Field& code : record.fields) {
    const std::uint64_t count = std::strtoull(code.value.c_str(), nullptr, 10);
    tally.by_code.add(code.name, record.time, count);
    slot(tally.reasons, {code.name, kCounted}, {"(others)", ""}) += count;
  }
}

void add_admin(Tally& tally, const Record& record) {
  const std::string_view action = record.action;
  if (action.starts_with("approval_") || action.starts_with("statement_"))
    return tally.approvals.add(record);
  if (record.subject == "policy") tally.policies.add(record);
  tally.admin.add(record);
}

}  // namespace

void add(Tally& tally, const Record& record) {
  ++tally.records;
  if (!tally.first) tally.first = record.time;
  tally.last = record.time;
  switch (record.kind) {
    case Kind::sign:
      return add_sign(tally, record);
    case Kind::key:
      return tally.key_events.add(record);
    case Kind::admin:
      return add_admin(tally, record);
    case Kind::start:
      tally.policies.add(record);
      return tally.runs.add(record);
    case Kind::gap:
      tally.lost += record.to - record.from + 1;
      return tally.runs.add(record);
    case Kind::stop:
    case Kind::token:
      return tally.runs.add(record);
    case Kind::refusals:
      return add_refusals(tally, record);
    case Kind::usage:
      return;
  }
}

}  // namespace hsm::audit_tools
