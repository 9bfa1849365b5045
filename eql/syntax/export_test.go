package syntax

// Pieces cuts a query into its tokens, the last of them empty at the end, and
// its comments, for tests that put something between them.
func Pieces(text string) (tokens, comments []Range) {
	l := lexer{text: text}
	l.run()
	for _, t := range l.tokens {
		tokens = append(tokens, t.Range)
	}
	return tokens, l.comments
}
