#include "tests/unit/audit/power_cut.h"

#include <algorithm>

namespace hsm::audit {
namespace {

using What = DiskOp::What;
using Ops = std::vector<const DiskOp*>;

Ops half(const Ops& ops) {
  return {ops.begin(), ops.begin() + static_cast<std::ptrdiff_t>(ops.size() / 2)};
}

}  // namespace

PowerCut::PowerCut(const std::vector<DiskOp>& ops, std::size_t count) {
  std::map<int, std::size_t> synced;
  std::size_t names_synced = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (ops[i].what == What::sync)
      synced[ops[i].file] = std::max(synced[ops[i].file], ops[i].begun);
    if (ops[i].what == What::sync_names) names_synced = std::max(names_synced, ops[i].begun);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const DiskOp& op = ops[i];
    switch (op.what) {
      case What::create:
      case What::unlink:
        (i < names_synced ? names_ : pending_names_).push_back(&op);
        break;
      case What::write:
      case What::truncate:
        (i < synced[op.file] ? files_[op.file].synced : files_[op.file].pending).push_back(&op);
        break;
      case What::answer:
        answers_[op.at] = op.text;
        break;
      case What::sync:
      case What::sync_names:
        break;
    }
  }
}

std::string PowerCut::apply(std::string content, const Ops& ops) {
  for (const DiskOp* op : ops) {
    if (op->what == What::truncate) {
      content.resize(op->at);
    } else {
      content.resize(std::max(content.size(), op->at + op->text.size()));
      content.replace(op->at, op->text.size(), op->text);
    }
  }
  return content;
}

std::string PowerCut::content(const File& file, Kept kept) {
  const std::string before = apply({}, file.synced);
  if (kept == Kept::nothing) return before;
  if (kept == Kept::half_the_operations) return apply(before, half(file.pending));
  std::string after = apply(before, file.pending);
  if (kept == Kept::everything) return after;
  // What is not kept reads as it was, and behind that as zeros.
  const auto lose = [&](std::size_t from, std::size_t to) {
    for (std::size_t at = from; at < std::min(to, after.size()); ++at)
      after[at] = at < before.size() ? before[at] : '\0';
  };
  if (kept == Kept::half_the_bytes) {
    const std::size_t more = after.size() - std::min(after.size(), before.size());
    after.resize(after.size() - more / 2);
    return after;
  }
  const auto newest = std::find_if(file.pending.rbegin(), file.pending.rend(),
                                   [](const DiskOp* op) { return op->what == What::write; });
  if (newest == file.pending.rend()) return after;
  for (const DiskOp* op : file.pending) {
    const bool is_newest = op == *newest;
    if (kept == Kept::only_the_size || is_newest == (kept == Kept::all_but_the_newest_write))
      lose(op->at, op->at + op->text.size());
  }
  if (kept == Kept::only_the_newest_write)
    for (std::size_t i = 0; i < (*newest)->text.size() && (*newest)->at + i < after.size(); ++i)
      after[(*newest)->at + i] = (*newest)->text[i];
  return after;
}

PowerCut::Files PowerCut::left(Kept names, Kept segments, Kept checkpoints) const {
  Ops all = names_;
  const Ops more = names == Kept::nothing      ? Ops{}
                   : names == Kept::everything ? pending_names_
                                               : half(pending_names_);
  all.insert(all.end(), more.begin(), more.end());
  std::map<std::string, int> entries;
  for (const DiskOp* op : all) {
    if (op->what == What::create) {
      entries[op->text] = op->file;
    } else {
      entries.erase(op->text);
    }
  }
  Files files;
  for (const auto& [name, file] : entries) {
    const auto found = files_.find(file);
    files[name] = found == files_.end()
                      ? std::string{}
                      : content(found->second, name == "checkpoints" ? checkpoints : segments);
  }
  return files;
}

}  // namespace hsm::audit
