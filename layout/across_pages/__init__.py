"""What only several pages together show: running titles, tables that go on; and pages read ahead."""
