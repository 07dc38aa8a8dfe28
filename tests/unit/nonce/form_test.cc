#include "hsm_signer/nonce/form.h"

#include <gtest/gtest.h>

#include "tests/support/error_is.h"

namespace hsm::nonce {
namespace {

using ::testing::HasSubstr;

TEST(NonceForm, EveryFormIsReadAsItIsSpelled) {
  for (Form form : {Form::signer_ms, Form::signer_us, Form::signer_s, Form::caller_s,
                    Form::caller_ms, Form::caller_us, Form::caller_ns}) {
    const Result<Form> read = form_from_name(name(form));
    ASSERT_THAT(read, Succeeds());
    EXPECT_EQ(*read, form);
  }
}

TEST(NonceForm, CallerAloneMeansMilliseconds) {
  EXPECT_EQ(*form_from_name("caller"), Form::caller_ms);
}

TEST(NonceForm, RefusesWhatIsNotSpelledExactly) {
  for (std::string_view text :
       {"", "signer", "ms", "signer_ms", "Signer-ms", "signer-ns", "caller-", "caller-ms "})
    EXPECT_THAT(form_from_name(text), ErrorIs(Code::usage, HasSubstr("signer-ms"))) << text;
}

TEST(NonceValue, TextHasAtLeastTheDigitsOfFractionAskedFor) {
  EXPECT_EQ(Value::parse("1700000000")->text(6), "1700000000.000000");
  EXPECT_EQ(Value::parse("1700000000.5")->text(6), "1700000000.500000");
  EXPECT_EQ(Value::parse("1700000000.000001")->text(6), "1700000000.000001");
  EXPECT_EQ(Value::parse("1700000000.123456789")->text(6), "1700000000.123456789");
}

TEST(NonceValue, TextComesBackInItsShortestForm) {
  struct Row {
    std::string_view in, out;
  };
  for (const Row& row :
       {Row{"0", "0"}, Row{"1", "1"}, Row{"123456", "123456"}, Row{"007", "7"},
        Row{"1700000000.000001", "1700000000.000001"}, Row{"1.500000000", "1.5"}, Row{"3.0", "3"},
        Row{"0.000000001", "0.000000001"}, Row{"99999999999999999999", "99999999999999999999"},
        Row{"99999999999999999999.999999999", "99999999999999999999.999999999"}}) {
    const Result<Value> value = Value::parse(row.in);
    ASSERT_THAT(value, Succeeds()) << row.in;
    EXPECT_EQ(value->text(), row.out);
  }
}

TEST(NonceValue, ComparesAsTheNumberItIs) {
  EXPECT_LT(*Value::parse("9"), *Value::parse("10"));
  EXPECT_LT(*Value::parse("1.000000001"), *Value::parse("1.00000001"));
  EXPECT_EQ(*Value::parse("5"), *Value::parse("5.0"));
  EXPECT_LT(*Value::parse("18446744073709551615"),
            *Value::parse("18446744073709551616"));  // Beyond 64 bits.
}

TEST(NonceValue, RefusesWhatIsNoNonce) {
  for (std::string_view text : {"", ".", "1.", ".5", "-1", "+1", " 1", "1 ", "1e3", "0x10", "1,5",
                                "1.2.3", "a", "123456789012345678901", "1.1234567890", "1.-2"})
    EXPECT_THAT(Value::parse(text), ErrorIs(Code::invalid_payload)) << text;
  EXPECT_THAT(Value::parse(std::string_view{"1\0", 2}), ErrorIs(Code::invalid_payload));
}

}  // namespace
}  // namespace hsm::nonce
