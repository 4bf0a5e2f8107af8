package report

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Parse(page))

// WriteHTML draws the report as a page. Everything is in the one file; it needs no network.
func (r *Report) WriteHTML(w io.Writer) error {
	all := r.Summaries()
	type line struct {
		Key     string  `json:"key"`
		Series  []Point `json:"series"`
		Promise string  `json:"guarantee"`
		Ours    bool    `json:"ours"`
	}
	drawn := struct {
		Settings
		Lines []line `json:"lines"`
	}{Settings: r.Settings}
	for _, s := range all {
		drawn.Lines = append(drawn.Lines, line{s.Key(), s.Series, s.Guarantee, s.Ours()})
	}
	data, err := json.Marshal(drawn) // which writes <, > and & so that they end no script
	if err != nil {
		return err
	}
	return pageTemplate.Execute(w, struct {
		*Report
		Title, Heading, FaultHeading, Footer string
		Costs, Faults                        [][]string
		Claims                               []Claim
		Troubles                             []string
		Data                                 template.JS
	}{r, r.title(), r.heading(), r.faultHeading(), r.footer(), r.costs(all), r.faults(all), r.Claims(), r.troubles(), template.JS(data)})
}

// title returns the title of the page.
func (r *Report) title() string {
	then := map[string]string{
		"task": ", and one task is killed", "tasks": ", and a task and one of its sources are killed", "worker": ", and the process is killed",
		"nats": ", and the NATS server is killed", "freeze-sink": ", and the sink stops taking tuples",
	}
	kind, _, _ := strings.Cut(r.Settings.Fault, "@")
	return r.Settings.Workload + then[kind]
}
