// Package console is the pages and the JSON of Orlop: alerts that people can work with,
// over a [store.Store].
//
//	c, err := console.New(console.Options{Store: s})
//	link, err := c.Link(ctx, "")       // the path of a one-time link, for the first start
//	srv := c.HTTPServer()
//	err = srv.Serve(listener)
//
// # Routes
//
// Pages are made on the server by html/template, out of templates that are embedded, and
// are complete without JavaScript. What a page shows is in its URL. Roles are those of
// [store.Role]; a route is for its role and those above.
//
//	GET  /                        →  Options.Home
//	GET  /sign-in   POST          name and password
//	GET  /enter?token=            a one-time link: begins a session, once
//	POST /sign-out
//	GET  /alerts                  viewer   list, facets, histogram, groups
//	GET  /alerts/live             viewer   server-sent events: how many are new
//	GET  /alerts/export.csv, .ndjson
//	POST /alerts/act              analyst  status, assignees, tags, comment, of some or of all that a query selects
//	GET  /alerts/{id}             viewer   one alert
//	GET  /except?alert=  POST     analyst  an exception: preview, then save
//	GET  /exceptions              viewer   list; POST /exceptions/{id}/delete analyst
//	GET  /rules, /rules/{id}      viewer   POST /rules/{id}/state admin
//	GET  /coverage                viewer   ATT&CK
//	GET  /sources, /hosts         viewer
//	GET  /audit                   admin    who did what
//	GET  /settings                viewer   one's own; users and tokens: admin
//	POST /settings/…
//	GET  /static/…                stylesheet and script
//	     /api/v1/…                see /api/v1/openapi.json
//
// # Templates
//
// base.html is the frame of all pages; list.html has the parts that several share
// (values with + and −, times, severities, pagers); the others are a page each and have
// its name. A page's data is a struct beside its handler that embeds [page].
//
// # Safety
//
// Every field of an event is hostile. Templates escape it; [visible] makes controls and
// characters that turn the direction of text visible, and long text short. No script and no
// style is inline, and the policy of each response forbids them (Content-Security-Policy);
// nothing is fetched from elsewhere. What changes something is a POST of the same origin
// with the token of its session. Work is bounded for each request: bodies, pages, facets
// and exports have a most.
package console
