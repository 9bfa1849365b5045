package event

// A Literal is text that stands in the JSON of a document, byte for byte, unless the
// document spells it with escapes: \u for any character, \/ for a slash. It has no
// control characters and no backslashes.
type Literal struct {
	Text string
	Fold bool // A–Z are equal to a–z; Text is in lower case
}
