package console

import (
	"bytes"
	"html/template"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

const longGuide = 256 << 10

// inertLinks makes of images what they say, so that nothing is fetched, and lowers
// headings below those of the page.
type inertLinks struct{}

func (inertLinks) Transform(doc *ast.Document, r text.Reader, _ parser.Context) {
	var images []*ast.Image
	ast.Walk(doc, func(n ast.Node, in bool) (ast.WalkStatus, error) {
		if !in {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Image:
			images = append(images, n)
		case *ast.Heading:
			n.Level = min(n.Level+2, 6)
		case *ast.Link:
			n.SetAttributeString("rel", []byte("noopener noreferrer nofollow"))
		case *ast.AutoLink:
			n.SetAttributeString("rel", []byte("noopener noreferrer nofollow"))
		}
		return ast.WalkContinue, nil
	})
	for _, img := range images {
		l := ast.NewLink()
		l.Destination = img.Destination
		l.SetAttributeString("rel", []byte("noopener noreferrer nofollow"))
		for c := img.FirstChild(); c != nil; {
			next := c.NextSibling()
			l.AppendChild(l, c)
			c = next
		}
		img.Parent().ReplaceChild(img.Parent(), img, l)
	}
}

// markdown is a rule's guide as HTML. HTML in it is left out, and links that are not to a
// page lead nowhere.
func markdown(src string) template.HTML {
	if src == "" {
		return ""
	}
	if len(src) > longGuide {
		src = src[:longGuide]
	}
	md := goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.Linkify),
		goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(inertLinks{}, 500))))
	var b bytes.Buffer
	if err := md.Convert([]byte(unhidden(src)), &b); err != nil {
		return visible(src, 4000)
	}
	return template.HTML(b.String())
}

// unhidden is text in which hidden characters, but those that lay it out, are shown.
func unhidden(s string) string {
	var b bytes.Buffer
	for _, r := range s {
		if hidden(r) && r != '\n' && r != '\t' && r != '\r' {
			b.WriteString(mark(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
