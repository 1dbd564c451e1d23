"""Quality of models after equal wall time on public sets, beside FLAML and AutoGluon."""
