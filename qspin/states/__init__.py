"""What a spectrum is made of: functions, levels, conventions, tables, what its files hold."""
