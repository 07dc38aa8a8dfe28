// What stands in an audit log, under any bytes: a record's line, a checkpoint note, a whole file of
// lines, the state of what was let go. The first byte chooses. What is taken has one spelling, and
// a general JSON parser reads the same in it.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hsm_signer/audit/checkpoint.h"
#include "hsm_signer/audit/lines.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/retired.h"
#include "hsm_signer/base/os.h"
#include "tests/fuzz/demand.h"

namespace hsm::audit {
namespace {

using fuzz::demand;
using Json = nlohmann::ordered_json;

// What another parser reads in the line.
void reads_the_same_elsewhere(std::string_view line, const Record& record) {
  const Json json = Json::parse(line, nullptr, false);
  demand(json.is_object(), "a record is JSON");
  const auto reads = [&json](const char* member, const auto& value) {
    demand(json.contains(member) && json[member] == value, member);
  };
  reads("v", kSchemaVersion);
  reads("seq", record.seq);
  if (record.kind == Kind::gap) reads("to", record.to);
  if (record.kind == Kind::admin) {
    reads("action", record.action);
    reads("subject", record.subject);
    reads("reason", record.reason);
    reads("statement", record.statement);
    reads("officers", record.officers);
    reads("detail", record.detail);
    for (const std::string* text : {&record.subject, &record.reason, &record.detail})
      demand(is_printable(*text), "an administrator's words are printable");
  }
  if (record.kind != Kind::sign) return;
  reads("uid", record.uid);
  reads("pid", record.pid);
  reads("key", record.key);
  reads("rule", record.rule);
  reads("reference", record.reference);
  Json fields = Json::object();
  for (const Field& field : record.fields) fields[field.name] = field.value;
  demand(json["fields"].size() == record.fields.size() && json["fields"] == fields,
         "the judged fields read the same");
  const bool allow = record.verdict == Verdict::allow;
  demand(json.contains("nonce") == allow && json.contains("code") != allow,
         "nonce or refusal, by the verdict");
  if (allow) reads("nonce", record.nonce);
  if (allow) reads("worker_counter", record.worker_counter);
}

void check_line(std::string_view line) {
  const auto record = parse_line(line);
  if (!record) {
    fuzz::demand_sentence(record.error());
    demand(record.error().code == Code::verification_failed, "a line refused is a log in doubt");
    return;
  }
  std::string again;
  demand(append_line(*record, again).has_value(), "what is read can be written");
  demand(again.size() == line.size() + 1 && again.starts_with(line) && again.ends_with('\n'),
         "a record has one spelling");
  const auto twice = parse_line(line);
  demand(twice && *twice == *record, "reading again gives the same record");
  demand(record->seq != 0, "sequences count from 1");
  reads_the_same_elsewhere(line, *record);
}

std::string spelled(const CheckpointText& parsed) {
  std::string text = checkpoint_text(parsed.origin, parsed.size, parsed.root);
  for (const std::string& line : parsed.extensions) text.append(line).append("\n");
  return text;
}

void check_checkpoint(std::string_view text) {
  const auto parsed = parse_checkpoint_text(text);
  demand(parsed.has_value() == is_checkpoint_text(text).has_value(),
         "the token host signs what the log can read, and nothing else");
  if (parsed) {
    demand(spelled(*parsed) == text, "a checkpoint has one spelling");
    demand(is_checkpoint_origin(parsed->origin) && !text.starts_with("hsm-signer usage"),
           "no checkpoint is taken for a usage text");
  } else {
    fuzz::demand_sentence(parsed.error());
  }
  const auto note = read_note_unverified(text);
  if (!note) {
    fuzz::demand_sentence(note.error());
    return;
  }
  const std::string signed_text = spelled(*note);
  demand(text.starts_with(signed_text) && text.substr(signed_text.size()).starts_with("\n"),
         "what a note says is what was signed, to the byte");
  demand(text.ends_with('\n') && text.size() <= kNoteLimit, "a note ends with its line");
}

OwnedFd file_of(std::string_view bytes) {
  OwnedFd fd{::memfd_create("log", MFD_CLOEXEC)};
  demand(fd.valid(), "set-up: memfd_create");
  demand(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
         "set-up: write");
  return fd;
}

// A block holds two lines of this limit, so that small inputs cross its border too.
constexpr std::size_t kSmallLimit = 24;

void reads_every_line(std::string_view bytes) {
  const OwnedFd fd = file_of(bytes);
  LineReader lines{fd.get(), kSmallLimit};
  std::uint64_t count = 0;
  for (;;) {
    const std::size_t end = bytes.find('\n');
    const std::size_t size = std::min(end, bytes.size());
    const bool whole = end != std::string_view::npos || size >= kSmallLimit;
    const bool zeroed =
        whole && bytes.substr(0, std::min(size, kSmallLimit)).find('\0') != std::string_view::npos;
    const auto line = lines.next();
    if (!line) {
      demand(line.error().code == Code::verification_failed && !zeroed && size >= kSmallLimit,
             "only a line over the limit is refused");
      return;
    }
    if (!*line) {
      demand((zeroed || end == std::string_view::npos) && lines.rest() == bytes.size(),
             "nothing is left but an unfinished line, or what begins with zeros");
      return;
    }
    demand(end == size && **line == bytes.substr(0, end) && end < kSmallLimit && !zeroed,
           "lines come as they stand in the file");
    bytes.remove_prefix(end + 1);
    demand(lines.line() == ++count, "lines are counted");
  }
}

void reads_every_note(std::string_view bytes) {
  const OwnedFd fd = file_of(bytes);
  NoteReader notes{fd.get()};
  std::size_t offset = 0;
  for (;;) {
    const auto note = notes.next();
    if (!note || !*note) break;
    const std::string_view there = bytes.substr(offset, (*note)->size());
    demand(there == **note && bytes.substr(offset + there.size()).starts_with("\n"),
           "notes come as they stand in the file, an empty line behind each");
    offset += there.size() + 1;
    demand(notes.offset() == offset, "the reader knows where it stands");
  }
}

// What is kept of records that were let go.
void check_retired(std::string_view text) {
  const auto retired = parse_retired(text);
  if (!retired) {
    fuzz::demand_sentence(retired.error());
    demand(retired.error().code == Code::verification_failed, "what is no state is refused");
    return;
  }
  const auto again = retired_text(*retired);
  demand(again && *again == text, "a state has one spelling");
  const Json json = Json::parse(text, nullptr, false);
  demand(json.is_object() && json.size() == 6, "a state is JSON of six members");
  demand(json["records"] == retired->records() && json["kept_from"] == retired->kept_from &&
             json["tree"].size() == retired->tree.peaks().size() &&
             json["workers"].size() == retired->workers.size() &&
             json["nonces"].size() == retired->nonces.size(),
         "another parser reads the same");
}

}  // namespace
}  // namespace hsm::audit

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = hsm::fuzz::text_of(data + 1, size - 1);
  if (data[0] == 'r') {
    hsm::audit::check_retired(text);
    return 0;
  }
  switch (data[0] % 3) {
    case 0:  // '0'
      hsm::audit::check_line(text);
      break;
    case 1:
      hsm::audit::check_checkpoint(text);
      break;
    default:
      hsm::audit::reads_every_line(text);
      hsm::audit::reads_every_note(text);
  }
  return 0;
}
