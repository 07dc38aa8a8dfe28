#include "hsm_signer/sim/journal.h"

#include <fcntl.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace hsm::sim {
namespace {

namespace json = boost::json;

json::value or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return json::value(text);
}

// A request target may hold any byte but space and control characters; JSON is UTF-8.
std::string printable(std::string text) {
  for (char& c : text) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return text;
}

}  // namespace

std::string journal_line(const Entry& entry) {
  json::object line{{"time", rfc3339(entry.time)},
                    {"key", or_null(entry.key)},
                    {"request", printable(entry.request)},
                    {"nonce", or_null(printable(entry.nonce))}};
  line["verdict"] = entry.untouched ? "untouched" : entry.refused ? "refused" : "accepted";
  const std::string_view reason = entry.refused ? name(*entry.refused) : std::string_view{};
  line["reason"] = or_null(std::string{reason});
  line["status"] = nullptr;
  if (entry.status) line["status"] = *entry.status;
  line["fault"] = or_null(std::string{entry.fault});
  return json::serialize(line);
}

Result<Journal> Journal::open(const std::string& path) {
  OwnedFd fd{::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600)};
  if (!fd.valid()) return fail(os_error(Code::usage, "cannot open the journal", path));
  return Journal{std::move(fd), path};
}

Result<void> Journal::append(const Entry& entry) {
  return write_all(fd_.get(), as_bytes(journal_line(entry) + "\n"), Code::internal, path_);
}

}  // namespace hsm::sim
