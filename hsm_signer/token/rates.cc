#include "hsm_signer/token/rates.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/wire/little_endian.h"

namespace hsm::token {
namespace {

constexpr std::uint64_t kMagic = 0x3153455441524d48;  // "HMRATES1"
constexpr std::size_t kSlots = 4'096;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMillisecond = 1'000'000;

// Every block on the disk, also of a file that has holes: the first touch of a mapped hole on a
// full disk is SIGBUS.
Result<void> reserve(int fd, off_t size, const std::string& path) {
  int error = 0;
  do {
    error = ::posix_fallocate(fd, 0, size);  // Leaves errno alone.
  } while (error == EINTR);
  if (error != 0) return fail(os_error(Code::internal, "cannot size the rate table", path, error));
  return {};
}

}  // namespace

struct Rates::Map {
  struct Slot {
    std::atomic<std::uint64_t> label;  // First 8 bytes of its SHA-256; 0: free.
    // When the allowance would be whole again, nanoseconds of the steady clock (the generic cell
    // rate algorithm, ITU-T I.371 annex A, as a virtual schedule): one word, so one
    // compare-and-swap.
    std::atomic<std::int64_t> whole_at;
  };
  std::atomic<std::uint64_t> magic;
  std::array<Slot, kSlots> slots;

  Slot* find(std::uint64_t label) {
    for (std::size_t i = 0; i < kSlots; ++i) {
      Slot& slot = slots[(label + i) % kSlots];
      std::uint64_t there = slot.label.load();
      if (there == 0 && slot.label.compare_exchange_strong(there, label)) return &slot;
      if (there == label) return &slot;
    }
    return nullptr;
  }
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free,
              "a lock in shared memory would outlive its holder");

Result<Rates> Rates::open(const std::string& path) {
  const OwnedFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!fd.valid()) return fail(os_error(Code::internal, "cannot open the rate table", path));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return fail(Code::internal, "the rate table is not a regular file", path);
  if (status.st_size != 0 && status.st_size != sizeof(Map))
    return fail(Code::internal, "the rate table is damaged; delete it", path);
  TRY_VOID(reserve(fd.get(), sizeof(Map), path));
  void* memory = ::mmap(nullptr, sizeof(Map), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED)
    return fail(os_error(Code::internal, "cannot map the rate table", path));
  Rates rates{static_cast<Map*>(memory)};
  std::uint64_t none = 0;
  if (!rates.map_->magic.compare_exchange_strong(none, kMagic) && none != kMagic)
    return fail(Code::internal, "the rate table is damaged; delete it", path);
  return rates;
}

Rates::~Rates() {
  if (map_ != nullptr) ::munmap(map_, sizeof(Map));
}

Result<void> Rates::take(std::string_view label, std::uint32_t per_second, Clock::Steady now) {
  const Sha256 digest = sha256(as_bytes(label));
  Map::Slot* slot = map_->find(std::max<std::uint64_t>(1, wire::load<std::uint64_t>(digest)));
  if (slot == nullptr)
    return fail(Code::overloaded, "the rate table is full", "4096 labels; delete it and restart");
  const std::int64_t time = now.time_since_epoch().count();
  const std::int64_t step = kSecond / per_second;
  std::int64_t whole_at = slot->whole_at.load();
  for (;;) {
    // The steady clock starts anew with the machine. What lies further ahead than an empty
    // allowance is from before and becomes an empty allowance of now, or the key would wait for the
    // old clock.
    if (whole_at > time + kSecond) {
      if (slot->whole_at.compare_exchange_weak(whole_at, time + kSecond)) whole_at = time + kSecond;
      continue;
    }
    const std::int64_t from = std::max(whole_at, time);
    const std::int64_t after = from + step;
    if (after > time + kSecond) {
      const std::int64_t wait = (after - time - kSecond + kMillisecond - 1) / kMillisecond;
      return fail(Error{.code = Code::rate_limited,
                        .what = "above the rate of this key in the token host",
                        .detail = std::to_string(per_second) + " a second",
                        .retry_after_ms = static_cast<std::uint32_t>(wait)});
    }
    if (slot->whole_at.compare_exchange_weak(whole_at, after)) return {};
  }
}

}  // namespace hsm::token
