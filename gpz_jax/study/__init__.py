"""What every study is made of: its config, folder, plan, targets and checks."""
