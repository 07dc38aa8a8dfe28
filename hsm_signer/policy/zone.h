// Local time of a place: the IANA time zone database, as the system has it.
//
// Read here and not by Debian's libdate-tz 3.0: that does not read the rule at a file's end and
// answers an hour wrong in each summer after 2037 (after 2007 where the files are "slim").
#pragma once

#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/policy/zone_rule.h"

namespace hsm::policy {

class Zone {
 public:
  // "America/New_York", from /usr/share/zoneinfo, or "UTC", which needs no file. usage for what is
  // no zone, and for names whose meaning differs by machine ("localtime") or that count leap
  // seconds ("right/…").
  static Result<Zone> load(std::string_view name);
  // A file of that database: TZif of version 2 or later (RFC 8536).
  static Result<Zone> parse(ByteView file);

  // What is added to UTC at that instant. Right for all of Clock::Wall from 1970 on, which ends in
  // 2262; no I/O, some 700 changes are searched.
  std::chrono::seconds offset_at(std::chrono::sys_seconds time) const;

 private:
  void follow(const ZoneRule& rule);

  std::chrono::seconds before_{0};  // Before the first change.
  std::vector<Change> changes_;     // By time, each instant once.
};

}  // namespace hsm::policy
