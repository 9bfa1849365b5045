package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/config"
)

// An apiClient asks a console, with a token that is never an argument.
type apiClient struct {
	server, tokenFile string
}

func (c *apiClient) add(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&c.server, "server", "http://"+consoleAddress, "the console, at `URL`")
	cmd.PersistentFlags().StringVar(&c.tokenFile, "token-file", "", "read the token from `FILE` (default: the variable ORLOP_TOKEN)")
}

// do asks, and returns the body of the answer.
func (c *apiClient) do(ctx context.Context, method, path string, q url.Values, in any) (io.ReadCloser, error) {
	token := os.Getenv("ORLOP_TOKEN")
	if c.tokenFile != "" {
		b, err := config.ReadFile(c.tokenFile)
		if err != nil {
			return nil, &failure{exitIO, fmt.Errorf("token: %w", err)}
		}
		token = string(b)
	}
	if token = strings.TrimSpace(token); token == "" {
		return nil, usage("no token: make one in the console's settings, and give it in ORLOP_TOKEN or --token-file")
	}
	at, err := url.Parse(c.server)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return nil, usage("--server %q: expected a URL such as http://%s", c.server, consoleAddress)
	}
	if host := at.Hostname(); at.Scheme == "http" && host != "localhost" && host != "::1" && !strings.HasPrefix(host, "127.") {
		return nil, usage("--server %q: a token does not cross a network in clear; expected https://", c.server)
	}
	at = at.JoinPath("/api/v1", path)
	at.RawQuery = q.Encode()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return nil, usage("%v", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	// What leads elsewhere is not followed: the token is for this server.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return nil, &failure{exitIO, err}
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var e struct{ Error string }
	if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&e) != nil || e.Error == "" {
		e.Error = "it answers " + resp.Status
	}
	code := exitIO
	if resp.StatusCode/100 == 4 {
		code = exitUsage
	}
	return nil, &failure{code, fmt.Errorf("%s: %s", at.Host, e.Error)}
}

func newAlerts() *cobra.Command {
	const help = `Alerts works with the alerts that a console keeps, by its JSON API. A token of the
console's settings says what it may do: ORLOP_TOKEN or --token-file gives it.`
	var c apiClient
	cmd := &cobra.Command{Use: "alerts", Short: "List, show and close the alerts of a console", Long: help + "\n\n" + exitCodes, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.add(cmd)
	cmd.AddCommand(newAlertsList(&c), newAlertsShow(&c), newAlertsExport(&c),
		newAlertsChange(&c, "ack", "acknowledged", "Acknowledge alerts"), newAlertsChange(&c, "close", "closed", "Close alerts"))
	return cmd
}

// asking is the flags that select alerts.
type asking struct {
	status, from, to, query string
	filters                 []string
	blocks                  bool
}

func (a *asking) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.status, "status", "open", "open, acknowledged, closed or all")
	cmd.Flags().StringVar(&a.from, "from", "", "raised at or after `TIME`: 2026-11-22T21:20:00Z, or now-24h")
	cmd.Flags().StringVar(&a.to, "to", "", "raised before `TIME`")
	cmd.Flags().StringVarP(&a.query, "query", "q", "", "a `CONDITION` in EQL or KQL, or words")
	cmd.Flags().StringArrayVarP(&a.filters, "filter", "f", nil, "`FIELD:VALUE`, or -FIELD:VALUE (repeatable)")
	cmd.Flags().BoolVar(&a.blocks, "building-blocks", false, "building blocks too: the alerts of a sequence's single events, and of rules that say so")
}

func (a *asking) values() url.Values {
	v := url.Values{"status": {a.status}}
	for k, s := range map[string]string{"from": a.from, "to": a.to, "q": a.query} {
		if s != "" {
			v.Set(k, s)
		}
	}
	if len(a.filters) > 0 {
		v["f"] = a.filters
	}
	if a.blocks {
		v.Set("blocks", "1")
	}
	return v
}

func newAlertsList(c *apiClient) *cobra.Command {
	var a asking
	var output string
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "List alerts, the latest first", Args: cobra.NoArgs,
		Example: "  orlop alerts list --from now-24h -f kibana.alert.severity:high"}
	a.add(cmd)
	addOutput(cmd, &output)
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "at most `N` alerts")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 {
			return usage("--limit %d: expected at least 1", limit)
		}
		out, err := newPrinter(cmd, output, column{"ID", 8, 8}, column{"TIME", 14, 14}, column{"SEVERITY", 8, 8}, column{"STATUS", 12, 6}, column{"RULE", 40, 24}, column{"HOST", 12, 0}, column{"WHAT", 30, 24})
		if err != nil {
			return err
		}
		rows := newAlertRows(out.table)
		v := a.values()
		for left := limit; left > 0; {
			v.Set("n", fmt.Sprint(min(left, 200)))
			body, err := c.do(cmd.Context(), http.MethodGet, "/alerts", v, nil)
			if err != nil {
				return err
			}
			var page struct {
				Alerts []json.RawMessage
				After  string
				Head   int64

				Warnings []struct{ Message string }
			}
			err = json.NewDecoder(body).Decode(&page)
			body.Close()
			if err != nil {
				return &failure{exitIO, fmt.Errorf("the answer cannot be read: %w", err)}
			}
			if left == limit {
				for _, w := range page.Warnings {
					fmt.Fprintln(cmd.ErrOrStderr(), "orlop: --query:", printable(w.Message))
				}
			}
			for _, doc := range page.Alerts {
				out.print(doc, func() string { return rows.kept(doc) })
			}
			left -= len(page.Alerts)
			if page.After == "" || len(page.Alerts) == 0 {
				break
			}
			v.Set("after", page.After)
			if v.Get("upto") == "" {
				v.Set("upto", fmt.Sprint(page.Head))
			}
		}
		return out.close()
	}
	return cmd
}

// kept is a line of an alert that a console keeps.
func (r *alertRows) kept(doc []byte) string {
	a, err := alert.Parse(doc)
	if err != nil {
		return r.row("", "-", "-", "-", "-", err.Error(), "-", "-")
	}
	var w struct {
		Status string `json:"kibana.alert.workflow_status"`
	}
	json.Unmarshal(doc, &w)
	host, _, what := r.read(a)
	return r.row("", a.ID, a.Time.UTC().Format("01-02 15:04:05"), a.Severity, w.Status, a.RuleName, host, what)
}

func newAlertsShow(c *apiClient) *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show one alert, as JSON", Args: cobra.ExactArgs(1)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := c.do(cmd.Context(), http.MethodGet, "/alerts/"+url.PathEscape(args[0]), nil, nil)
		if err != nil {
			return err
		}
		defer body.Close()
		doc, err := io.ReadAll(body)
		if err != nil {
			return &failure{exitIO, err}
		}
		var b bytes.Buffer
		if err := json.Indent(&b, escaped(doc), "", "  "); err != nil {
			return &failure{exitIO, fmt.Errorf("the answer cannot be read: %w", err)}
		}
		if _, err := cmd.OutOrStdout().Write(b.Bytes()); err != nil {
			return &failure{exitIO, err}
		}
		return nil
	}
	return cmd
}

func newAlertsChange(c *apiClient, name, status, short string) *cobra.Command {
	var reason, comment string
	var assign, tag []string
	cmd := &cobra.Command{Use: name + " ID...", Short: short, Args: cobra.MinimumNArgs(1)}
	if status == "closed" {
		cmd.Flags().StringVar(&reason, "reason", "other", "false_positive, true_positive, benign_positive, duplicate, automated_closure or other")
	}
	cmd.Flags().StringVar(&comment, "comment", "", "a `TEXT` for the history")
	cmd.Flags().StringArrayVar(&assign, "assign", nil, "assign to the user `NAME`")
	cmd.Flags().StringArrayVar(&tag, "tag", nil, "add a `TAG`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := c.do(cmd.Context(), http.MethodPost, "/alerts/update", nil, map[string]any{
			"ids": args, "status": status, "reason": reason, "comment": comment, "assign": assign, "tag": tag})
		if err != nil {
			return err
		}
		defer body.Close()
		var done struct {
			Changed int
			Missing []string
		}
		if err := json.NewDecoder(body).Decode(&done); err != nil {
			return &failure{exitIO, fmt.Errorf("the answer cannot be read: %w", err)}
		}
		fmt.Fprintln(cmd.OutOrStdout(), count(done.Changed, "alert"), "changed")
		if len(done.Missing) > 0 {
			var ids []string
			for _, id := range done.Missing {
				ids = append(ids, strconv.Quote(id))
			}
			return usage("there is no alert %s; the others are as they were to be", strings.Join(ids, ", "))
		}
		return nil
	}
	return cmd
}

func newAlertsExport(c *apiClient) *cobra.Command {
	var a asking
	var form string
	cmd := &cobra.Command{Use: "export", Short: "Write all alerts that are selected", Args: cobra.NoArgs}
	a.add(cmd)
	cmd.Flags().StringVar(&form, "format", "ndjson", "ndjson or csv")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if form != "ndjson" && form != "csv" {
			return usage("--format %q: expected ndjson or csv", form)
		}
		body, err := c.do(cmd.Context(), http.MethodGet, "/export."+form, a.values(), nil)
		if err != nil {
			return err
		}
		defer body.Close()
		if _, err := io.Copy(cmd.OutOrStdout(), body); err != nil {
			return &failure{exitIO, errors.Join(errors.New("the export is not whole"), err)}
		}
		return nil
	}
	return cmd
}
