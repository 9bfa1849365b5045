package console

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// What a password costs: OWASP's least for argon2id.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonSalt   = 16
	argonKey    = 32
)

// nobody is the hash of a password that nobody knows: names that do not exist take as
// long as those that do.
var nobody = fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", argonMemory, argonTime, argonLanes,
	base64.RawStdEncoding.EncodeToString(make([]byte, argonSalt)), base64.RawStdEncoding.EncodeToString(make([]byte, argonKey)))

// checkPassword says what is wrong with a new password.
func checkPassword(p string) error {
	switch {
	case utf8.RuneCountInString(p) < 10:
		return &problem{400, "A password has at least 10 characters."}
	case len(p) > 1024:
		return &problem{400, "A password has at most 1,024 bytes."}
	}
	return nil
}

// HashPassword returns the hash of a password, argon2id in PHC's form.
func HashPassword(p string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(p), salt, argonTime, argonMemory, argonLanes, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// verifyPassword reports whether a password has a hash. What a hash may cost is bounded.
func verifyPassword(hash, p string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != "v=19" {
		return false
	}
	var m, t uint32
	var lanes uint8
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &m, &t, &lanes); n != 3 || err != nil || m > 1<<20 || t == 0 || t > 16 || lanes == 0 {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) < 16 || len(want) > 64 || len(p) > 1024 {
		return false
	}
	got := argon2.IDKey([]byte(p), salt, t, m, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}
