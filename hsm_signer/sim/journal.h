// What the simulator saw, one JSON line per request: tests and users read it.
#pragma once

#include <optional>
#include <string>

#include "hsm_signer/base/os.h"
#include "hsm_signer/sim/refusal.h"

namespace hsm::sim {

// Never the signature, the payload or a secret.
struct Entry {
  Clock::Wall time;
  std::string key;      // Empty where the key is not known.
  std::string request;  // The path called, at most kMostRequest bytes of it.
  std::string nonce;    // As sent; empty where the request did not get that far.
  std::optional<Reason> refused;
  std::optional<unsigned> status;  // Of the answer; none where not a byte of it was sent.
  std::string_view fault;          // Its kind, where one was ordered; else empty.
  bool untouched = false;  // The fault came before the exchange: nothing was checked or done.
  static constexpr std::size_t kMostRequest = 128;
};

// {"time":…,"key":…,"request":…,"nonce":…,"verdict":"accepted"|"refused"|"untouched","reason":…,
// "status":…,"fault":…}; members that are empty are null. No line break.
std::string journal_line(const Entry& entry);

// Appends to a file, one write(2) per line.
class Journal {
 public:
  static Result<Journal> open(const std::string& path);
  Result<void> append(const Entry& entry);

 private:
  Journal(OwnedFd fd, std::string path) : fd_{std::move(fd)}, path_{std::move(path)} {}
  OwnedFd fd_;
  std::string path_;
};

}  // namespace hsm::sim
