// SPDX-License-Identifier: Apache-2.0

package attest

// The images that a chart refers to. Only the service makes such statements;
// that a gate counts no others is its own business.

// EvidenceChartImages lists the images that a Helm chart refers to.
const EvidenceChartImages EvidenceKind = "chart-images"

func chartImagesFormat() format {
	return format{
		name: "chart-images", kind: EvidenceChartImages, types: []string{PredicateChartImages},
		is: func(d *document) bool { return !d.list && d.has("chart", "renders") }, read: readChartImages,
	}
}

func readChartImages(d *document) (Evidence, error) {
	out := &ChartImages{}
	if err := d.into("chart", &out.Chart); err != nil {
		return Evidence{}, err
	}
	if out.Chart.Name == "" {
		return Evidence{}, unreadable("$.chart.name", "missing")
	}
	if _, err := each("$.renders", d.members["renders"], func(_ string, r ChartRender) error {
		out.Renders = append(out.Renders, ChartRender{
			Values: keep(r.Values), Digest: r.Digest, Operation: keep(r.Operation), Kubernetes: keep(r.Kubernetes), APIs: keep(r.APIs),
			Manifests: r.Manifests, Failed: r.Failed, Problem: keep(r.Problem), Unread: keep(r.Unread),
		})
		return nil
	}); err != nil {
		return Evidence{}, err
	}
	there, err := each("$.images", d.members["images"], func(at string, i ChartImage) error {
		if i.Reference == "" {
			return unreadable(at+".reference", "missing")
		}
		out.Images = append(out.Images, ChartImage{
			Reference: keep(i.Reference), Canonical: keep(i.Canonical), Places: keepAll(i.Places), Guessed: i.Guessed, Digest: i.Digest, Pinned: i.Pinned,
			Signed: i.Signed, Signers: keepAll(i.Signers), Revoked: keep(i.Revoked), Problem: keep(i.Problem),
		})
		return nil
	})
	switch {
	case err != nil:
		return Evidence{}, err
	case !there:
		return Evidence{}, unreadable("$.images", "missing")
	case len(out.Renders) == 0:
		return Evidence{}, unreadable("$.renders", "want at least one entry")
	}
	return Evidence{ChartImages: out}, nil
}
