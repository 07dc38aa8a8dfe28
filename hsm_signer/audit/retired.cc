#include "hsm_signer/audit/retired.h"

#include <sys/stat.h>

#include <algorithm>

#include "hsm_signer/audit/canonical.h"
#include "hsm_signer/audit/file_names.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/os.h"

namespace hsm::audit {
namespace {

constexpr std::uint64_t kRetiredVersion = 1;
constexpr std::size_t kMostPeaks = 64;

// The members as they are spelled.
struct SpelledWorker {
  RetiredWorker counts;
  std::string digest;
};
struct Spelled {
  std::uint64_t kept_from = 0;
  std::uint64_t records = 0;
  std::vector<std::string> tree;
  std::vector<SpelledWorker> workers;
  std::vector<RetiredNonce> nonces;
};

bool is_peak(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), is_hex);
}
bool is_digest(std::string_view text) { return text.empty() || is_peak(text); }
bool is_api_key(std::string_view text) { return !text.empty() && is_printable(text); }
bool is_high_nonce(std::string_view text) { return nonce_units(text).has_value(); }

template <class Io, class W>
void worker_members(Io& io, W& w) {
  io.hex64("worker", w.counts.worker);
  io.number("last", w.counts.last);
  io.number("recorded", w.counts.recorded);
  io.number("confirmed", w.counts.confirmed);
  io.number("seq", w.counts.seq);
  io.text("digest", w.digest, is_digest);
  io.check("recorded", w.counts.recorded <= w.counts.last);
  io.check("confirmed", w.counts.confirmed <= w.counts.recorded);
}

template <class Io, class N>
void nonce_members(Io& io, N& n) {
  io.text("api_key_id", n.api_key_id, is_api_key);
  io.text("nonce", n.nonce, is_high_nonce);
  io.number("unspent", n.unspent);
}

template <class T, class Name>
bool ascend(const std::vector<T>& items, const Name& name) {
  return std::adjacent_find(items.begin(), items.end(), [&](const T& a, const T& b) {
           return name(a) >= name(b);
         }) == items.end();
}

// What is written and what is read walk here.
template <class Io, class R>
void retired_members(Io& io, R& r) {
  io.constant("v", kRetiredVersion);
  io.number("kept_from", r.kept_from);
  io.check("kept_from", r.kept_from > 1);
  io.number("records", r.records);
  io.check("records", r.records != 0);
  io.texts("tree", r.tree, kMostPeaks, is_peak);
  io.list("workers", r.workers, kRetiredWorkers,
          [](auto& inner, auto& worker) { worker_members(inner, worker); });
  io.list("nonces", r.nonces, kRetiredNonces,
          [](auto& inner, auto& nonce) { nonce_members(inner, nonce); });
  io.end();
  io.check("workers", ascend(r.workers, [](const SpelledWorker& w) { return w.counts.worker; }));
  io.check("nonces", ascend(r.nonces, [](const RetiredNonce& n) { return n.api_key_id; }));
  io.check("seq", std::all_of(r.workers.begin(), r.workers.end(),
                              [&](const SpelledWorker& w) { return w.counts.seq <= r.records; }));
}

tl::unexpected<Error> no_state(std::string detail) {
  return fail(Code::verification_failed, "not the state of an audit log whose beginning was let go",
              std::move(detail));
}

}  // namespace

Result<std::string> retired_text(const Retired& retired) {
  if (retired.workers.size() > kRetiredWorkers || retired.nonces.size() > kRetiredNonces)
    return fail(
        Code::too_large, "the audit log has more workers or API keys than can be kept",
        std::to_string(retired.workers.size()) + " and " + std::to_string(retired.nonces.size()));
  Spelled spelled{.kept_from = retired.kept_from,
                  .records = retired.records(),
                  .tree = {},
                  .workers = {},
                  .nonces = retired.nonces};
  for (const Sha256& peak : retired.tree.peaks()) spelled.tree.push_back(hex_encode(peak));
  for (const RetiredWorker& worker : retired.workers)
    spelled.workers.push_back({worker, worker.digest ? hex_encode(*worker.digest) : std::string{}});
  std::string text;
  Writer writer{text};
  retired_members(writer, spelled);
  if (!writer.refused().empty())
    return fail(Code::internal, "a state that breaks its form", std::string{writer.refused()});
  return text;
}

Result<Retired> parse_retired(std::string_view text) {
  if (text.size() > kRetiredLimit) return no_state("too long");
  if (!text.ends_with('\n')) return no_state("it does not end with a newline");
  text.remove_suffix(1);
  Spelled spelled;
  Reader reader{text};
  retired_members(reader, spelled);
  if (!reader.fine())
    return no_state("column " + std::to_string(reader.column()) + ": " +
                    std::string{reader.refused()});
  std::vector<Sha256> peaks;
  for (const std::string& peak : spelled.tree) peaks.push_back(hash_of(peak));
  std::optional<Tree> tree = Tree::of_peaks(spelled.records, std::move(peaks));
  if (!tree) return no_state("its tree has not one hash for each bit of its records");
  Retired retired{.kept_from = spelled.kept_from,
                  .tree = *std::move(tree),
                  .workers = {},
                  .nonces = std::move(spelled.nonces)};
  for (SpelledWorker& worker : spelled.workers) {
    if (!worker.digest.empty()) worker.counts.digest = hash_of(worker.digest);
    retired.workers.push_back(std::move(worker.counts));
  }
  return retired;
}

std::string retired_name(std::uint64_t last) { return kRetiredNames.name(last); }

Result<RetiredFile> read_retired(const std::string& directory, const std::string& name) {
  const std::string path = directory + "/" + name;
  TRY(const OwnedFd fd, open_regular_file(path));
  // The limit is far above what such a file has: no more room is taken than it needs.
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail(os_error(Code::usage, "cannot read", path));
  const auto size = static_cast<std::size_t>(status.st_size);
  TRY(const Bytes bytes, read_open_file(fd.get(), path, std::min(size, kRetiredLimit)));
  RetiredFile file{.name = name, .sha256 = hex_encode(sha256(bytes)), .retired = {}};
  Result<Retired> retired = parse_retired(as_text(bytes));
  if (!retired) {
    retired.error().detail = name + ": " + retired.error().detail;
    return fail(std::move(retired).error());
  }
  if (retired_name(retired->kept_from - 1) != name)
    return no_state(name + ": it says that audit segments are kept from " +
                    std::to_string(retired->kept_from) + " on");
  file.retired = *std::move(retired);
  return file;
}

}  // namespace hsm::audit
