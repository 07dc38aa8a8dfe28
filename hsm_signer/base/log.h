// One line per event on standard error, in the form that journald reads (sd-daemon(3): "<4>text").
#pragma once

#include <string_view>

namespace hsm {

enum class Level : int {
  alert = 1,
  error = 3,
  warning = 4,
  notice = 5,
  info = 6,
  debug = 7
};  // syslog(3)

// Names this process in its lines: "hsm-tokend[desk] worker". Set once in main, before any log().
void set_log_name(std::string_view name);
void set_log_level(Level least);
// `event` is a stable snake_case word that alarms match on; `text` is for people. Neither may hold
// a secret, a PIN, a request's signature or a client's free text; control characters are replaced
// all the same.
void log(Level level, std::string_view event, std::string_view text = {});
// The same for a signal handler: allocates nothing, cuts after 512 bytes.
void log_in_signal_handler(Level level, std::string_view event, std::string_view text);

// The same for what a peer can cause as often as it likes: ten lines of one event a second, the
// others are counted and the count is said with the next line. One thread only.
void log_limited(Level level, std::string_view event, std::string_view text);

}  // namespace hsm
