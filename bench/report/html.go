package report

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
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
	}
	drawn := struct {
		Settings
		Lines []line `json:"lines"`
	}{Settings: r.Settings}
	for _, s := range all {
		drawn.Lines = append(drawn.Lines, line{s.Key(), s.Series, s.Guarantee})
	}
	data, err := json.Marshal(drawn) // which writes <, > and & so that they end no script
	if err != nil {
		return err
	}
	return pageTemplate.Execute(w, struct {
		*Report
		Heading, FaultHeading, Footer string
		Costs, Faults                 [][]string
		Claims                        []Claim
		Troubles                      []string
		Data                          template.JS
	}{r, r.heading(), r.faultHeading(), r.footer(), r.costs(all), r.faults(all), r.Claims(), r.troubles(), template.JS(data)})
}
