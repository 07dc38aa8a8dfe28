#include "hsm_signer/service/mac_counts.h"

#include "tests/support/error_is.h"
#include "tests/unit/audit/sample.h"

namespace hsm::service {
namespace {

using audit::allow_record;
using audit::Kind;
using audit::kWorker;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const Bytes kKey{1, 2, 3};
const Bytes kSignature{4, 5, 6};

UsageText usage(std::uint64_t count) { return {"desk", kWorker, count, sha256(as_bytes("x"))}; }

TEST(MacCounts, WhatAWorkerSaysIsRecordedOnce) {
  MacCounts counts;
  counts.see(allow_record(1, 1));
  counts.see(allow_record(2, 2));
  const auto records = counts.said(usage(2), kKey, kSignature);
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].kind, Kind::usage);
  EXPECT_EQ(records[0].token, "desk");
  EXPECT_EQ(records[0].worker, kWorker);
  EXPECT_EQ(records[0].worker_counter, 2U);
  EXPECT_EQ(records[0].digest, hex_encode(usage(2).digest));
  EXPECT_EQ(records[0].audit_key, hex_encode(sha256(kKey)));
  EXPECT_EQ(records[0].signature, base64_encode(kSignature));
  counts.see(records[0]);
  EXPECT_THAT(counts.said(usage(2), kKey, kSignature), IsEmpty());
  EXPECT_THAT(counts.said(usage(1), kKey, kSignature), IsEmpty()) << "said before";
}

TEST(MacCounts, AWorkerThatSignedNothingSaysNothing) {
  EXPECT_THAT(MacCounts{}.said(usage(0), kKey, kSignature), IsEmpty());
}

TEST(MacCounts, WhatNobodyHeardOfIsAGapAheadOfItsUsage) {
  MacCounts counts;
  counts.see(allow_record(1, 1));
  const auto records = counts.said(usage(4), kKey, kSignature);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].kind, Kind::gap);
  EXPECT_EQ(records[0].from, 2U);
  EXPECT_EQ(records[0].to, 4U);
  EXPECT_EQ(records[1].worker_counter, 4U);
}

TEST(MacCounts, ALostWorkerMayHaveSignedWhatWasInFlight) {
  MacCounts counts;
  EXPECT_EQ(counts.lost(kWorker, 0), std::nullopt);
  EXPECT_EQ(counts.lost(kWorker, 2)->from, 1U);
  counts.see(allow_record(1, 1));
  const auto gap = counts.lost(kWorker, 3);
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->from, 2U);
  EXPECT_EQ(gap->to, 4U);
  counts.see(*gap);
  // Its last words, once it could say them: fewer, and covered.
  EXPECT_THAT(counts.said(usage(3), kKey, kSignature), SizeIs(1));
}

TEST(MacCounts, WhatWasNotWrittenIsSaidAgain) {
  MacCounts counts;
  counts.see(allow_record(1, 1));
  counts.see(counts.said(usage(1), kKey, kSignature)[0]);
  counts.unconfirm();
  EXPECT_THAT(counts.said(usage(1), kKey, kSignature), SizeIs(1));
}

}  // namespace
}  // namespace hsm::service
