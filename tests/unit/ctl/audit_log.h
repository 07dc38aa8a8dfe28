// A sealed log for the verbs of `audit`: no daemon, no configuration.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>

#include "tests/support/temp_dir.h"
#include "tests/unit/audit/sample.h"
#include "tests/unit/ctl/fixture.h"

namespace hsm::ctl {

class AuditVerbs : public ::testing::Test {
 protected:
  AuditVerbs() { write_text(pem, key.public_pem()); }

  // The records as one log, with a checkpoint over each of `sealed` and over all of them.
  void write(const std::vector<audit::Record>& records,
             const std::vector<std::uint64_t>& sealed = {}) {
    std::filesystem::remove_all(log);
    const auto made = audit::Log::open(log);
    ASSERT_THAT(made, Succeeds());
    for (const audit::Record& record : records) {
      audit::write_records(**made, {record});
      if (std::find(sealed.begin(), sealed.end(), (*made)->size()) != sealed.end())
        audit::seal_head(**made, key);
    }
    audit::seal_head(**made, key);
  }
  void write_allowed(std::uint64_t count, const std::vector<std::uint64_t>& sealed = {}) {
    std::vector<audit::Record> records;
    for (std::uint64_t i = 1; i <= count; ++i) records.push_back(audit::allow_record(i, i));
    write(records, sealed);
  }
  // Moves what follows the first `lines` lines of the first segment into a second one.
  void cut_into_two(std::size_t lines) const {
    const std::string text = audit::slurp(segment(1));
    std::size_t at = 0;
    for (std::size_t i = 0; i < lines; ++i) at = text.find('\n', at) + 1;
    audit::spit(segment(1), std::string_view{text}.substr(0, at));
    audit::spit(segment(2), std::string_view{text}.substr(at));
  }
  std::string segment(int number) const {
    return log + "/audit-00000" + std::to_string(number) + ".jsonl";
  }
  static Ran run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "audit");
    return run_ctl(arguments);
  }
  std::string file(const std::string& name) const { return dir / name; }

  const TempDir dir;
  const audit::TestKey key;
  const std::string log = dir / "audit";
  const std::string pem = dir / "audit.pub.pem";
};

}  // namespace hsm::ctl
